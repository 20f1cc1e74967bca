-- The last line that wrk prints: what it measured, as JSON. Latencies in microseconds.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"count": %d, "rate": %f, "median": %f, "p99": %f, "failed": %d}\n',
        summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
