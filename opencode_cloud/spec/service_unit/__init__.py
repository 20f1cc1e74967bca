"""The service unit: what has a system's own service manager keep a deployment running.

Values in, text out: one `ServiceUnitSpec`, and from it a unit of systemd, an agent of launchd or
a task of Windows, with the script that puts it there.
"""
