"""Devices and times in the words of the account page."""

import re
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400

# Browsers name those that they descend from too, so the first that is found is the right one.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Chromium/": "Chromium",
    "Safari/": "Safari",
    "Mozilla/": "A browser",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Macintosh": "macOS",
    "Linux": "Linux",
}
_PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}(?=/|$)")


def device(agent: str) -> str:
    """What a User-Agent header says that it is, such as "Firefox on Linux"."""
    browser = next((name for sign, name in _BROWSERS.items() if sign in agent), None)
    system = next((name for sign, name in _SYSTEMS.items() if sign in agent), None)
    if browser:
        return f"{browser} on {system}" if system else browser
    program = _PROGRAM.match(agent)
    return program[0] if program else "Unknown device"


def ago(then: float, now: float) -> str:
    """How long `then` is past, roughly; both are in seconds."""
    seconds = now - then
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return _count(seconds // MINUTE, "minute")
    if seconds < DAY:
        return _count(seconds // HOUR, "hour")
    return _count(seconds // DAY, "day")


def stamp(then: float) -> str:
    """A time for machines."""
    return datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _count(number: float, unit: str) -> str:
    return f"{number:.0f} {unit}{'' if number == 1 else 's'} ago"
