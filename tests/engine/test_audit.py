"""The audit of a real container: who signed in and out is written down, and no secret is."""

import base64
import json
import re
from collections.abc import Iterator

import docker
import pytest
import requests

from tests.engine.container import BASIC, Running, running, wait_until
from tests.engine.deployment import PASSWORD, USER

ACCOUNT = "/_gateway/account"
WRONG = "not the right password"


@pytest.fixture(scope="module")
def audited(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container in which all sorts of sign-ins have been."""
    with running(docker_client, image, {"OPENCODE_CLOUD_RATE_LIMIT_ATTEMPTS": "6"}) as container:
        yield container


def lines(opencode: Running) -> list[dict[str, object]]:
    """What the session service has written down so far."""
    said = re.findall(r"^session *\| (\{.*\})$", opencode.logs(), flags=re.MULTILINE)
    return [json.loads(line) for line in said]


def events(opencode: Running) -> list[object]:
    return [line["event"] for line in lines(opencode)]


def press(opencode: Running, browser: requests.Session, button: str) -> None:
    page = browser.get(opencode.url + ACCOUNT, timeout=10).text
    csrf = re.findall(r'name="csrf" value="([^"]*)"', page)[0]
    session = re.findall(r'name="revoke" value="(\w+)"', page)[0]
    form = {"csrf": csrf, button: session}
    browser.post(opencode.url + ACCOUNT, data=form, timeout=10)


def test_each_line_says_when_where_and_by_what(audited: Running):
    audited.run("opencode-user", "add", "eve", stdin=f"{PASSWORD}\n")
    browser = requests.Session()
    browser.headers["User-Agent"] = "Some/1.0 " + "x" * 1000
    audited.send_form(browser, username="eve")
    wait_until(lambda: "sign_in" in events(audited), 30, audited.logs)
    line = lines(audited)[-1]
    assert set(line) >= {"time", "event", "user", "address", "method", "session", "agent"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
    assert re.fullmatch(r"[\d.]+", str(line["address"]))
    assert len(str(line["agent"])) == 256


def test_everything_that_happens_to_sign_ins_is_written_down_without_a_secret(audited: Running):
    secrets = [PASSWORD, WRONG, "Pa55word in the wrong field"]
    browser = audited.sign_in()
    secrets += [cookie.value or "" for cookie in browser.cookies]
    health = f"{audited.url}/global/health"
    token = base64.b64encode(":".join(BASIC).encode()).decode()
    secrets.append(token)
    for _ in range(3):
        assert requests.get(health, auth=BASIC, timeout=10).ok
    requests.get(health, params={"auth_token": token}, auth=(USER, WRONG), timeout=10)
    audited.send_form(requests.Session(), username="Pa55word in the wrong field", password="x")
    forged = 'Mozilla/5.0\tsession | {"event": "sign_in"}'
    audited.send_form(requests.Session(), password="x", username="a\nb")
    other = requests.Session()
    other.headers["User-Agent"] = forged
    assert audited.send_form(other).status_code == requests.codes.see_other
    secrets += [cookie.value or "" for cookie in other.cookies]
    press(audited, browser, "revoke")
    browser = browser if audited.lets_in(browser) else audited.sign_in()
    csrf = re.findall(
        r'name="csrf" value="([^"]*)"',
        browser.get(f"{audited.url}/_gateway/logout", timeout=10).text,
    )
    secrets += [*csrf, *(cookie.value or "" for cookie in browser.cookies)]
    browser.post(f"{audited.url}/_gateway/logout", data={"csrf": csrf[0]}, timeout=10)
    changed = audited.sign_in()
    audited.run("opencode-user", "passwd", USER, stdin=f"{PASSWORD}\n")
    assert not audited.lets_in(changed)
    press(audited, audited.sign_in(), "everywhere")
    for _ in range(8):
        requests.get(health, auth=(USER, WRONG), timeout=10)
    wait_until(lambda: "sign_in_limited" in events(audited), 30)

    assert set(events(audited)) == {
        "sign_in",
        "sign_in_refused",
        "sign_in_limited",
        "sign_out",
        "session_revoked",
        "signed_out_everywhere",
        "account_changed",
    }
    said = audited.logs()
    assert [secret for secret in secrets if secret and secret in said] == []
    assert "session." not in "".join(map(str, lines(audited)))
    by_basic = [line for line in lines(audited) if line["event"] == "sign_in"]
    assert [line["method"] for line in by_basic].count("basic") == 1
    refused = [line["user"] for line in lines(audited) if line["event"] == "sign_in_refused"]
    assert set(refused) == {USER, None}
    assert events(audited).count("sign_in_limited") == 1
