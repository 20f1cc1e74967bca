"""The metrics service: counts what nginx logs, and says it in Prometheus' words."""

PREFIX = "opencode_cloud"
