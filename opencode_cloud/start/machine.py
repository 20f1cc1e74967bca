"""What kind of machine this is, and what may be installed on it."""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that ``./start`` runs on, and by whom."""

    system: str
    """``Linux``, ``Darwin`` or ``Windows``."""
    family: tuple[str, ...] = ()
    """``ID`` and ``ID_LIKE`` of os-release: ``ubuntu``, ``debian``."""
    name: str = ""
    """For people: ``Debian GNU/Linux 13 (trixie)``."""
    root: bool = False
    sudo: bool = False
    """Whether there is a sudo command; it may still refuse."""
    apt: bool = False
    """Whether there is an apt-get command."""
    systemd: bool = False
    """Whether systemd is what runs this machine's services."""

    @classmethod
    def this(cls) -> "Machine":
        """Look at the machine. Reads only."""
        release = os_release(OS_RELEASE.read_text()) if OS_RELEASE.exists() else {}
        return cls(
            system=platform.system(),
            family=family(release),
            name=release.get("PRETTY_NAME", platform.platform(terse=True)),
            root=os.geteuid() == 0,
            sudo=shutil.which("sudo") is not None,
            apt=shutil.which("apt-get") is not None,
            systemd=Path("/run/systemd/system").is_dir(),
        )

    @property
    def packaged(self) -> bool:
        """Whether the packages that ``./start`` knows can be had here."""
        return self.apt and not {"debian", "ubuntu"}.isdisjoint(self.family)

    @property
    def may_install(self) -> bool:
        """Whether this user may install packages, as far as can be known."""
        return self.packaged and (self.root or self.sudo)

    def shown(self, command: tuple[str, ...]) -> str:
        """Write a root's command as this user would type it."""
        words = " ".join(command)
        return words if self.root else f"sudo {words}"


def family(release: Mapping[str, str]) -> tuple[str, ...]:
    """Give a distribution's own name, and those of the ones it stems from."""
    return (release.get("ID", ""), *release.get("ID_LIKE", "").split())


def os_release(text: str) -> dict[str, str]:
    """Read os-release(5)."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def has_terminal() -> bool:
    """Whether somebody can be asked for a password."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def without(path: str, folders: tuple[Path, ...]) -> str:
    """Drop the entries of a ``PATH`` that are inside ``folders``."""
    kept = [
        entry
        for entry in path.split(os.pathsep)
        if not any(Path(entry).is_relative_to(folder) for folder in folders)
    ]
    return os.pathsep.join(kept)


def which(command: str, environment: Mapping[str, str]) -> Path | None:
    """Find a command on the ``PATH`` of ``environment``."""
    found = shutil.which(command, path=environment.get("PATH", os.defpath))
    return Path(found) if found else None
