import re
from collections.abc import Iterator

import docker
import pytest
import requests
from playwright.sync_api import Page, expect

from tests.engine.container import running
from tests.engine.deployment import PASSWORD, USER, Deployment

LOADED = 30_000
"""Milliseconds that opencode's pages may take to load and draw."""
WORKSPACE = "/L3dvcmtzcGFjZQ"
"""opencode's path of the folder /workspace."""


def sign_in(page: Page, url: str, password: str = PASSWORD) -> None:
    page.goto(url)
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


class Terminal:
    """What the shell behind the page has written so far."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.heard = ""
        page.on("websocket", lambda socket: socket.on("framereceived", self._hear))

    def _hear(self, frame: str | bytes) -> None:
        self.heard += frame if isinstance(frame, str) else frame.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        for _ in range(LOADED // 100):
            if text in self.heard:
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"{text!r} never came; the terminal said {self.heard!r}")


@pytest.fixture
def session(deployment: Deployment) -> Iterator[str]:
    """An opencode session in the workspace."""
    sessions = f"{deployment.url}/session"
    folder = {"directory": "/workspace"}
    made = requests.post(sessions, params=folder, auth=deployment.basic, json={}, timeout=30)
    identifier = made.json()["id"]
    yield identifier
    requests.delete(f"{sessions}/{identifier}", auth=deployment.basic, timeout=30)


def test_a_person_signs_in_and_finds_a_ready_prompt_in_the_workspace(
    page: Page, deployment: Deployment
):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, deployment.url)
    prompt = page.locator("[contenteditable=true]").first
    expect(prompt).to_be_visible(timeout=LOADED)
    prompt.fill("hello")
    expect(prompt).to_have_text("hello")
    assert [url for url in asked if "directory=%2Fworkspace" in url]
    assert not [url for url in asked if not url.startswith(deployment.url)]


def test_a_wrong_password_is_said_and_lets_nobody_in(page: Page, deployment: Deployment):
    sign_in(page, deployment.url, "wrong password")
    expect(page.get_by_role("alert")).to_contain_text("password")
    page.goto(deployment.url + WORKSPACE)
    expect(page).to_have_url(re.compile("/_gateway/login"))


def test_signing_in_returns_to_where_a_person_was_going(
    page: Page, deployment: Deployment, session: str
):
    sign_in(page, f"{deployment.url}{WORKSPACE}/session/{session}")
    expect(page).to_have_url(re.compile(session), timeout=LOADED)


def test_the_page_can_be_used_with_the_keyboard_alone(page: Page, deployment: Deployment):
    page.goto(deployment.url)
    # The browser gives the focus when it first draws, which can be after the page has loaded.
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type(USER)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[contenteditable=true]").first).to_be_visible(timeout=LOADED)


def test_a_person_opens_a_terminal_and_types_in_it(
    page: Page, deployment: Deployment, session: str
):
    sign_in(page, f"{deployment.url}{WORKSPACE}/session/{session}")
    expect(page.locator("[contenteditable=true]").first).to_be_visible(timeout=LOADED)
    terminal = Terminal(page)
    page.keyboard.press("Control+Backquote")
    terminal.wait_for("$ ")  # the shell's prompt: from here on it reads what is typed
    page.keyboard.type("echo typed-$((40+2)) > typed.txt; echo do''ne\n")
    terminal.wait_for("done")
    assert deployment.run("cat", "/workspace/typed.txt").strip() == "typed-42"
    deployment.run("rm", "/workspace/typed.txt")


def test_after_too_many_wrong_passwords_a_person_reads_how_long_to_wait(
    page: Page, docker_client: docker.DockerClient, image: str
):
    strict = {
        "OPENCODE_CLOUD_RATE_LIMIT_ATTEMPTS": "2",
        "OPENCODE_CLOUD_RATE_LIMIT_WINDOW_SECONDS": "8",
    }
    with running(docker_client, image, strict) as container:
        for _ in range(2):
            sign_in(page, container.url, "wrong password")
            expect(page.get_by_role("alert")).to_have_text("Wrong user name or password.")
        sign_in(page, container.url)
        alert = page.get_by_role("alert")
        expect(alert).to_have_text(
            re.compile(r"^Too many wrong passwords\. Try again in \d+ seconds?\.$")
        )
        expect(page.get_by_label("User name")).to_have_value(USER)
        page.wait_for_timeout(8000)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("[contenteditable=true]").first).to_be_visible(timeout=LOADED)
