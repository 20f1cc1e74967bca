"""The room on a host's disk, by what `df` told and by a disk of this machine's."""

from dataclasses import dataclass

import pytest

from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.room import free, require_room
from opencode_cloud.ops.shells import Done, Shell

SIZES = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/a 99 9 {} 1% /\n"
COUNTS = "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/a {} 9 {} 1% /a b\n"


@dataclass(frozen=True)
class Told(DockerHost):
    """A host that says one thing."""

    told: str = ""

    @property
    def shell(self) -> Shell:
        told = self.told

        class Says:
            name = "box"

            def words(self, *words: str) -> tuple[str, ...]:
                return words

            def run(self, script: str, *, stdin: str = "", seconds: float = 60) -> Done:
                assert not stdin
                assert seconds
                assert (
                    "DOCKER_HOST=unix:///d.sock\ndocker container inspect opencode-box " in script
                )
                return Done(0, told, "")

        return Says()


def told(kib: int, files: int, of: int = 10**6) -> Told:
    sizes = SIZES.format(kib)
    return Told("box", "/d.sock", None, f"/var/lib/docker\n{sizes}--\n{COUNTS.format(of, files)}")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (told(0, 10**6), "0 MiB are left at /var/lib/docker"),
        (told(99 * 1024, 10**6), "99 MiB are left"),
        (told(10**9, 12), "12 more files fit"),
    ],
)
def test_a_disk_without_room_for_a_container_is_refused(host: DockerHost, words: str):
    with pytest.raises(OperationError, match=words):
        require_room(host)


@pytest.mark.parametrize(
    "host",
    [
        told(101 * 1024, 10**6),
        # Such as btrfs, which has as many as it needs.
        told(10**9, 0, of=0),
        Told("box", "/d.sock", None, ""),
    ],
)
def test_one_with_room_or_that_does_not_tell_is_not(host: DockerHost):
    require_room(host)


def test_no_table_says_nothing():
    assert free("df: /x: No such file or directory\n") is None
    assert free(SIZES.format(7)) == 7
