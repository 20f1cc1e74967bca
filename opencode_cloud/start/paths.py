"""Where ``./start`` keeps things."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PRODUCT = "opencode-cloud"


@dataclass(frozen=True)
class Paths:
    """The checkout, and the product's folders of this user."""

    root: Path
    """The checkout."""
    data: Path
    """What must be kept: state, passphrase."""
    cache: Path
    """What can be made again."""

    @classmethod
    def of(cls, root: Path, environment: Mapping[str, str]) -> "Paths":
        """Find the folders as the XDG base directory specification says."""

        def base(variable: str, default: str) -> Path:
            # "All paths must be absolute … relative … should be ignored."
            given = Path(environment.get(variable, ""))
            return given if given.is_absolute() else Path.home() / default

        return cls(
            root=root,
            data=base("XDG_DATA_HOME", ".local/share") / PRODUCT,
            cache=base("XDG_CACHE_HOME", ".cache") / PRODUCT,
        )

    @property
    def venv(self) -> Path:
        """The program's Python environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The program's Python."""
        return self.venv / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """The program's packages, locked by hash."""
        return self.root / "requirements.txt"

    @property
    def state(self) -> Path:
        """Pulumi's file backend."""
        return self.data / "state"

    @property
    def passphrase(self) -> Path:
        """The generated passphrase of the stacks' secrets."""
        return self.data / "passphrase"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's own folder, for an engine that ``./start`` brought."""
        return self.data / "pulumi-home"

    @property
    def downloads(self) -> Path:
        """Official releases of Pulumi, one folder each."""
        return self.data / "pulumi"

    @property
    def extra_ca(self) -> Path:
        """The machine's certificate authorities that are not Debian's."""
        return self.data / "extra-ca.pem"

    @property
    def log(self) -> Path:
        """What the last run did, command by command."""
        return self.data / "start.log"

    @property
    def changes(self) -> Path:
        """What all runs did to this machine."""
        return self.data / "changes.txt"

    @property
    def lock(self) -> Path:
        """Held while a ``./start`` of this user runs."""
        return self.data / "start.lock"

    @property
    def default_host(self) -> Path:
        """The stack that `occ` works on unless told otherwise; not there: `local`."""
        return self.data / "default-host"

    def stack_lock(self, stack: str) -> Path:
        """Give the file that is locked while a command changes `stack`."""
        return self.data / "locks" / f"{stack}.lock"

    def applied(self, stack: str) -> Path:
        """Give the file that says which settings of `stack` were applied last."""
        return self.data / "applied" / stack

    def backups(self, stack: str) -> Path:
        """Give the folder of the backups of ``stack``, unless another one is said."""
        return self.data / "backups" / stack

    def stack_file(self, stack: str) -> Path:
        """Give the settings of ``stack``."""
        return self.root / "stacks" / f"Pulumi.{stack}.yaml"
