"""A server that stops answering: opencode, or what stands in front of it."""

from collections.abc import Iterator

import docker
import pytest

from tests.engine.container import Running, running, wait_until

OPENCODE, GATEWAY, WORKER = "^opencode serve", "^nginx: master", "^nginx: worker"
NOTICED_SECONDS = 90
"""Half a minute of bad answers, and what a loaded machine adds to it."""


@pytest.fixture
def hung(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container in which something is about to hang."""
    with running(docker_client, image) as container:
        # It is watched from its first good answer on: the second question is behind that.
        asks(container, times=2)
        yield container


def asks(container: Running, times: int) -> None:
    """Wait until the watchdog has asked so many times more; it sleeps in between."""
    slept: set[int] = set()

    def has_asked() -> bool:
        slept.update(container.pids("^sleep 5$"))
        return len(slept) > times

    wait_until(has_asked, 60, container.logs)


def stop(container: Running, *patterns: str) -> list[int]:
    pids = [pid for pattern in patterns for pid in container.pids(pattern)]
    container.run("kill", "-STOP", *map(str, pids))
    return pids


def test_an_opencode_that_hangs_is_started_again_and_nothing_else_is(hung: Running):
    browser = hung.sign_in()
    gateway, (opencode,) = hung.pids(GATEWAY), stop(hung, OPENCODE)
    began = hung.container.attrs["State"]["StartedAt"]
    wait_until(lambda: opencode not in hung.pids(OPENCODE), NOTICED_SECONDS, hung.logs)
    hung.wait_healthy()
    hung.wait_printed("watchdog     | opencode has not been healthy for 30 s")
    assert hung.lets_in(browser)
    assert hung.pids(GATEWAY) == gateway
    assert hung.container.attrs["State"]["StartedAt"] == began


def test_an_opencode_that_is_busy_for_a_moment_is_left_alone(hung: Running):
    (opencode,) = stop(hung, OPENCODE)
    asks(hung, times=2)
    hung.run("kill", "-CONT", str(opencode))
    hung.wait_healthy()
    asks(hung, times=2)
    assert hung.pids(OPENCODE) == [opencode]
    assert "watchdog     |" not in hung.logs()


def test_a_gateway_that_hangs_ends_the_container_as_a_failure(
    docker_client: docker.DockerClient, hung: Running
):
    stop(hung, GATEWAY, WORKER)
    ended = hung.container.wait(timeout=NOTICED_SECONDS)
    assert ended["StatusCode"] == 1
    hung.wait_printed("watchdog     | nothing has been healthy for 30 s: the container ends")
    # Whoever starts it again finds it well.
    hung.container.start()
    hung.wait_healthy()
