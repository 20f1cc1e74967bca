from metrics.counts import Counts
from metrics.entry import Entry

from tests.unit.metrics_parts import read_exposition


def counted(*entries: Entry) -> dict[str, float]:
    """What is said, without the prefix, after these requests."""
    counts = Counts()
    for entry in entries:
        counts.add(entry)
    samples = read_exposition(counts.exposition())
    return {name.removeprefix("opencode_cloud_"): value for name, value in samples.items()}


def test_before_the_first_request_nothing_is_said():
    assert counted() == {}


def test_requests_and_bytes_add_up():
    samples = counted(
        Entry("api", "GET", "2xx", 3, 100),
        Entry("api", "GET", "2xx", 4, 50),
        Entry("api", "POST", "4xx", 5, 1),
        Entry("page", "GET", "2xx", 6, 7),
    )
    assert samples['requests_total{kind="api",method="GET",code="2xx"}'] == 2
    assert samples['requests_total{kind="api",method="POST",code="4xx"}'] == 1
    assert samples['response_bytes_total{kind="api"}'] == 151
    assert samples['response_bytes_total{kind="page"}'] == 7


def test_each_bucket_holds_all_that_were_quicker():
    times = (0, 1, 2, 3, 40, 10_000, 60_000)
    samples = counted(*(Entry("api", "GET", "2xx", time, 0) for time in times))
    held = {
        bound: samples[f'request_duration_seconds_bucket{{kind="api",le="{bound}"}}']
        for bound in ("0.001", "0.002", "0.005", "0.02", "0.05", "5", "10", "+Inf")
    }
    assert list(held.values()) == [2, 3, 4, 4, 5, 5, 6, 7]
    assert samples['request_duration_seconds_count{kind="api"}'] == 7
    assert samples['request_duration_seconds_sum{kind="api"}'] == 70.046


def test_how_long_a_stream_was_open_is_no_duration():
    samples = counted(Entry("stream", "GET", "2xx", 75_000, 10))
    assert samples == {
        'requests_total{kind="stream",method="GET",code="2xx"}': 1,
        'response_bytes_total{kind="stream"}': 10,
    }
