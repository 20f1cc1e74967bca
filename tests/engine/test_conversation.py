"""From a prompt to a streamed answer, through the gateway, with a model of the test's own."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.deployment import PASSWORD, USER, Deployment
from tests.engine.fake_model import ANSWER

Result = subprocess.CompletedProcess[str]

MODEL_PORT = 18080
CONFIG = {
    "$schema": "https://opencode.ai/config.json",
    "model": "fake/test",
    "small_model": "fake/test",
    "provider": {
        "fake": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Fake",
            "options": {
                "baseURL": f"http://127.0.0.1:{MODEL_PORT}/v1",
                "apiKey": "none-needed",
            },
            "models": {"test": {"name": "Test"}},
        }
    },
}


@pytest.fixture(scope="module")
def talking(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with a model to talk to."""
    config, model = "/home/opencode/.config/opencode/opencode.json", "/workspace/.fake_model.py"
    deployment.put(config, json.dumps(CONFIG))
    deployment.put(model, Path(__file__).with_name("fake_model.py").read_text())
    deployment.restart()
    deployment.start_process("python3", model, str(MODEL_PORT))
    yield deployment
    deployment.run("rm", config, model)
    deployment.restart()


@pytest.fixture(scope="module")
def opencode(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's own opencode, outside of the container."""
    folder = tmp_path_factory.mktemp("opencode")
    path = deployment.run("which", "opencode").strip()
    stream, _ = deployment.container.get_archive(path, chunk_size=None)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        archive.extractall(folder, filter="data")
    return folder / Path(path).name


def run_attached(opencode: Path, home: Path, url: str, password: str) -> Result:
    environment = {
        **os.environ,
        "HOME": str(home),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_SERVER_USERNAME": USER,
        "OPENCODE_SERVER_PASSWORD": password,
    }
    return subprocess.run(
        [opencode, "run", "--attach", url, "--dir", "/workspace", "Say the answer."],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def said(deployment: Deployment, session: str) -> str:
    messages = deployment.get(f"/session/{session}/message").json()
    parts = [part for message in messages for part in message["parts"]]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def test_a_prompt_is_answered_and_the_answer_is_streamed_to_who_listens(talking: Deployment):
    session = requests.post(
        f"{talking.url}/session", auth=talking.basic, json={}, timeout=30
    ).json()["id"]
    with requests.get(
        f"{talking.url}/event", auth=talking.basic, stream=True, timeout=60
    ) as events:
        assert events.headers["Content-Type"].startswith("text/event-stream")
        lines = events.iter_lines(chunk_size=1)
        next(lines)  # opencode greets; from here on nothing is missed
        requests.post(
            f"{talking.url}/session/{session}/prompt_async",
            auth=talking.basic,
            json={"parts": [{"type": "text", "text": "What is the answer?"}]},
            timeout=60,
        ).raise_for_status()
        heard = []
        for line in lines:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[len(b"data: ") :])
            heard.append(event)
            if event["type"] == "session.idle":
                break
    pieces = [event for event in heard if event["type"].startswith("message.part")]
    assert len(pieces) > len(ANSWER), "the answer came in pieces"
    assert "".join(ANSWER) in said(talking, session)


def test_opencode_run_attaches_from_outside_with_the_same_user_and_password(
    talking: Deployment, opencode: Path, tmp_path: Path
):
    result = run_attached(opencode, tmp_path, talking.url, PASSWORD)
    assert result.returncode == 0, result.stderr
    assert "".join(ANSWER) in result.stdout


def test_opencode_run_with_a_wrong_password_gets_nothing(
    talking: Deployment, opencode: Path, tmp_path: Path
):
    result = run_attached(opencode, tmp_path, talking.url, "not the password")
    assert "".join(ANSWER) not in result.stdout
