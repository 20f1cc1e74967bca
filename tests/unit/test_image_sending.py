"""When an image is sent from one Docker engine to another, and when not."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.image_sending import End, require_same_machine, send

NAME = "opencode-cloud:box-0123456789ab"
IMAGE: dict[str, Any] = {
    "Id": "sha256:1",
    "Size": 3_000_000,
    "RootFS": {"Layers": ["sha256:a", "sha256:b"]},
    "Created": "2026-01-31T10:00:00Z",
    "Config": {"User": ""},
}


@dataclass(frozen=True)
class Known(End):
    """An engine whose answers are known; one that is sent anything is broken."""

    answers: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        return self.answers.get(path)


def end(image: dict[str, Any] | None = None, kind: str = "amd64") -> End:
    answers: dict[str, Any] = {"/version": {"Os": "linux", "Arch": kind}}
    if image:
        answers[f"/images/{NAME.replace(':', '%3A')}/json"] = image
    return Known("ada@box", "/nowhere", answers)


@pytest.mark.parametrize("identity", ["sha256:1", "sha256:another-engines-word-for-it"])
def test_what_is_there_already_is_not_sent(identity: str):
    said: list[str] = []
    send(NAME, end(IMAGE), end(IMAGE | {"Id": identity}), said.append)
    assert said == []


def test_another_image_of_that_name_is_sent_over():
    other = IMAGE | {"Id": "sha256:2", "Created": "2026-02-01T10:00:00Z"}
    with pytest.raises(StartError, match="the connection to ada@box broke"):
        send(NAME, end(IMAGE), end(other), lambda _: None)


def test_what_is_not_here_cannot_be_sent():
    with pytest.raises(StartError, match="cannot be sent"):
        send(NAME, end(), end(), lambda _: None)


def test_an_image_for_another_kind_of_machine_is_refused_before_it_is_built():
    require_same_machine(end(), end())
    with pytest.raises(StartError, match="linux/amd64, and ada@box is linux/arm64") as caught:
        require_same_machine(end(), end(kind="arm64"))
    assert "image_built_on host" in str(caught.value)
