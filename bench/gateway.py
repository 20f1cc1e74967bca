"""What the gateway costs, and what it saves, against opencode itself in the same run."""

import re
import statistics
import time
from collections.abc import Iterable
from functools import partial

import docker
import requests

from bench.browsing import Load, chromium, first_and_again
from bench.subject import OTHER, Answers, Subject, alone, subject
from bench.timing import RUNS, alternate
from opencode_cloud.spec.container import HTTP_PORT
from tests.engine.container import BASIC
from tests.engine.deployment import USER

SMALL = "/global/health"
"""What opencode answers at the least cost of its own: it shows the gateway's the most."""
EVENTS = "/global/event"
STREAMS = 1000
COMPRESSED = "Accept-Encoding: gzip, deflate, br, zstd"
"""As Chromium asks."""
LOADS = 3
"""How often the page is loaded each way."""
FLOOD_SECONDS = 3
"""After which a flood has reached its height."""


def measure(client: docker.DockerClient, image: str, base: str, *, verbose: bool) -> None:
    """Print all figures of `image`; `verbose` lists what Chromium fetched."""
    with subject(client, image, base) as measured:
        fresh = [measured.memory() for _ in range(RUNS)]
        print("gateway, against opencode itself")
        small_answers(measured)
        processor(measured)
        static_files(measured)
        pages(client, image, measured, verbose=verbose)
        streams(measured, fresh)
        flood(measured)


def small_answers(measured: Subject) -> None:
    """What the gateway adds to an answer that costs opencode next to nothing."""
    ways = (measured.direct(), measured.by_cookie(), measured.by_basic())
    for connections in (1, 8):
        direct, *through = alternate(
            *(partial(measured.ask, way, SMALL, connections=connections) for way in ways)
        )
        print(f"a small JSON answer, {connections} at once")
        show_answers("opencode", direct)
        for name, ours in zip(("by cookie", "by Basic"), through, strict=True):
            pairs = list(zip(ours, direct, strict=True))
            medians = [a.median - b.median for a, b in pairs]
            figure(f"{name}: median, more", medians, "ms", below=1.5)
            figure(f"{name}: p99, more", [a.p99 - b.p99 for a, b in pairs], "ms", below=10)
            rates = [a.rate / b.rate for a, b in pairs]
            figure(f"{name}: requests/s", rates, "x", least=0.7 if connections > 1 else 0)


def processor(measured: Subject) -> None:
    """Whose processes work for a small answer; it tells where time goes on a busy machine too."""
    ways = {"opencode": measured.direct(), "gateway": measured.by_cookie()}
    sides = alternate(*(partial(measured.processor, way, SMALL, 8) for way in ways.values()))
    print("processor time of one small answer, by who spends it")
    for name, rounds in zip(ways, sides, strict=True):
        for user in sorted(rounds[0]):
            spent = [users[user] for users in rounds]
            if statistics.median(spent) >= 1:
                figure(f"{name}: {user}", spent, "us")


def static_files(measured: Subject) -> None:
    """The largest file of the page, as browsers ask for it."""
    page = requests.get(measured.opencode.url, auth=BASIC, timeout=10).text
    found = re.search(r'/assets/index-[^"]+\.js', page)
    assert found, page
    ways = (measured.direct(), measured.by_cookie())
    direct, ours = alternate(
        *(partial(measured.ask, way, found[0], COMPRESSED, connections=8) for way in ways)
    )
    print("the page's largest file, 8 at once")
    show_answers("opencode", direct)
    show_answers("gateway", ours)
    rates = [a.rate / b.rate for a, b in zip(ours, direct, strict=True)]
    figure("gateway: requests/s", rates, "x", least=1)


def pages(client: docker.DockerClient, image: str, measured: Subject, *, verbose: bool) -> None:
    """The page in Chromium over 20 Mbit/s and 60 ms, with nothing cached and again."""
    with chromium() as browser, alone(client, image) as direct:
        theirs, ours = alternate(
            partial(first_and_again, browser, direct),
            partial(first_and_again, browser, measured.site()),
            runs=LOADS,
        )
    direct_first = [first for first, _ in theirs]
    for index, (title, goal) in enumerate((("first load", 0.35), ("reload", 0.02))):
        print(f"the page in Chromium, {title}, on 20 Mbit/s with 60 ms")
        direct_loads, our_loads = ([loads[index] for loads in side] for side in (theirs, ours))
        show_loads("opencode", direct_loads, verbose=verbose)
        show_loads("gateway", our_loads, verbose=verbose)
        pairs = list(zip(our_loads, direct_loads, strict=True))
        figure("gateway: bytes", [a.bytes / b.bytes for a, b in pairs], "x", below=goal)
        figure("gateway: time", [a.seconds / b.seconds for a, b in pairs], "x")
    again = [a.bytes / b.bytes for (_, a), b in zip(ours, direct_first, strict=True)]
    figure("gateway: bytes, of opencode's first load", again, "x", below=0.02)


def streams(measured: Subject, fresh: list[dict[str, float]]) -> None:
    """A thousand streams of another user, who only listens; `fresh` is the memory before all."""
    ask = partial(measured.ask, measured.by_cookie(), SMALL)
    listener = measured.by_cookie(OTHER)

    def without() -> tuple[dict[str, float], Answers]:
        return measured.memory(), ask()

    def listened_to() -> tuple[dict[str, float], Answers]:
        with measured.client("streams.py", str(HTTP_PORT), EVENTS, str(STREAMS)) as client:
            client.tell(listener.header)
            assert client.heard() == "open"
            result = measured.memory(), ask()
            assert client.end() == str(STREAMS), "streams were lost"
        return result

    after, now = alternate(without, listened_to)
    print(f"{STREAMS:,} idle event streams")
    show_memory("before", fresh, below=80)
    show_memory("now", [memory for memory, _ in now], below=150)
    show_memory("when they have gone", [memory for memory, _ in after])
    show_slowed([answers for _, answers in after], [answers for _, answers in now])


def flood(measured: Subject) -> None:
    """What a user notices of an address that means harm."""
    ask = partial(measured.ask, measured.by_cookie(), SMALL)
    outcomes: list[str] = []

    def flooded() -> Answers:
        with measured.client("flood.py", str(HTTP_PORT), USER) as client:
            time.sleep(FLOOD_SECONDS)
            answers = ask()
            outcomes.append(client.end())
        return answers

    idle, now = alternate(ask, flooded)
    print("a flood from another address: 16 guess passwords, 200 send slowly, 500 say nothing")
    show_slowed(idle, now, goal=2)
    print(f"  what came of the last one: {outcomes[-1]}")


def show_answers(who: str, answers: Iterable[Answers]) -> None:
    """Print what small answers took."""
    rates, medians, p99s = zip(*((a.rate, a.median, a.p99) for a in answers), strict=True)
    figure(f"{who}: median", medians, "ms")
    figure(f"{who}: p99", p99s, "ms")
    figure(f"{who}: requests/s", rates)


def show_loads(who: str, loads: list[Load], *, verbose: bool) -> None:
    """Print what loads of the page took."""
    figure(f"{who}: bytes", [load.bytes / 1e3 for load in loads], "kB")
    figure(f"{who}: until one can type", [load.seconds for load in loads], "s")
    if verbose:
        print(*loads[-1].answers, sep="\n")


def show_memory(when: str, samples: list[dict[str, float]], *, below: float = 0) -> None:
    """Print the memory of all but opencode, and whose it is."""
    title = f"memory of all but opencode, {when}"
    figure(title, [sum(users.values()) for users in samples], "MB", below=below)
    typical = {
        user: statistics.median(users.get(user, 0) for users in samples) for user in samples[0]
    }
    print("    " + ", ".join(f"{user} {short(typical[user])}" for user in sorted(typical)))


def show_slowed(idle: list[Answers], now: list[Answers], goal: float = 0) -> None:
    """Print what a user's requests take now."""
    figure("a user's median, before", [answers.median for answers in idle], "ms")
    figure("a user's median, now", [answers.median for answers in now], "ms")
    figure("a user's p99, before", [answers.p99 for answers in idle], "ms")
    figure("a user's p99, now", [answers.p99 for answers in now], "ms")
    ratios = [a.p99 / b.p99 for a, b in zip(now, idle, strict=True)]
    figure("a user's p99, now", ratios, "x", below=goal)


def figure(
    title: str, samples: Iterable[float], unit: str = "", *, below: float = 0, least: float = 0
) -> None:
    """Print a row: median, least and most, and whether the median meets a goal, if there is one."""
    values = list(samples)
    median = statistics.median(values)
    row = f"  {title:<48} {short(median):>8} {unit:<3}"
    row += f"   ({short(min(values))} to {short(max(values))})"
    if below:
        row += f"   goal: below {below:g}: {'met' if median < below else 'MISSED'}"
    if least:
        row += f"   goal: at least {least:g}: {'met' if median >= least else 'MISSED'}"
    print(row, flush=True)


def short(value: float) -> str:
    """A number with as many digits as say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
