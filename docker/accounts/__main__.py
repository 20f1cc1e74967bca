"""opencode-user: add, change and remove the accounts that may sign in."""

import argparse
import fcntl
import getpass
import os
import pwd
import re
import subprocess
import sys
import time
from pathlib import Path

from accounts import LONGEST_PASSWORD, saved
from accounts.directory import Directory

ETC = Path("/etc")
VOLUME = Path("/var/lib/opencode-cloud/users/accounts")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SHORTEST_PASSWORD = 8
# crypt(5): yescrypt, and SHA-512 with its rounds.
HASH = re.compile(
    r"\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    r"|\$6\$(?:rounds=[1-9][0-9]{3,8}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
)


class RefusedError(Exception):
    """What was asked for is not possible; the message says why and what to do."""


def add(name: str, hashed: bool) -> None:
    """Make an account, with the password that is given as one line on stdin."""
    _check_new(name)
    password = _read_hash() if hashed else _read_password()
    first = saved.IDS.start
    _run(
        "useradd",
        *("--key", f"UID_MIN={first}", "--key", f"GID_MIN={first}"),
        *("--user-group", "--groups", ",".join(saved.MEMBERSHIPS)),
        *("--create-home", "--shell", "/bin/bash", "--no-log-init", name),
    )
    try:
        _set_password(name, password, hashed)
        saved.save(ETC, VOLUME)
    except (OSError, RefusedError):
        _run("userdel", "--force", "--remove", name)
        raise


def passwd(name: str) -> None:
    """Change a password, given as one line on stdin; every session of the account ends."""
    _check_known(name)
    _set_password(name, _read_password())
    saved.save(ETC, VOLUME)


def disable(name: str, force: bool) -> None:
    """Close an account, keeping it; every session of it ends."""
    _check_not_last(name, force)
    _run("usermod", "--lock", "--expiredate", "1", name)
    saved.save(ETC, VOLUME)


def enable(name: str) -> None:
    """Open an account again, with the password that it had."""
    _check_known(name)
    _run("usermod", "--unlock", "--expiredate", "", name)
    saved.save(ETC, VOLUME)


def remove(name: str, force: bool) -> None:
    """Remove an account and its home folder; every session of it ends."""
    _check_not_last(name, force)
    _run("userdel", "--force", "--remove", name)
    saved.save(ETC, VOLUME)


def list_accounts() -> None:
    """Print a line for each account: its name, a tab, and `enabled` or `disabled`."""
    for account in Directory(ETC):
        print(f"{account.name}\t{'enabled' if account.is_enabled(time.time()) else 'disabled'}")


def restore() -> None:
    """Put the accounts of the volume back into /etc, as each start of the container does."""
    names, taken = saved.restore(ETC, VOLUME)
    for name in sorted(names):
        _make_home(name)
    for name in sorted(taken):
        print(
            f"opencode-user: {name} cannot sign in: this image has a system account of that name. "
            "Go back to the image before it, or add a user of another name.",
            file=sys.stderr,
        )


def _make_home(name: str) -> None:
    account = pwd.getpwnam(name)
    home = Path(account.pw_dir)
    if home.exists():
        return
    _run("cp", "--recursive", "/etc/skel", str(home))
    _run("chown", "--recursive", f"{account.pw_uid}:{account.pw_gid}", str(home))
    home.chmod(0o700)


def _check_new(name: str) -> None:
    if not NAME.fullmatch(name):
        raise RefusedError(
            f"{name!r} cannot be a user name: use 1 to 32 lower-case letters, digits, - and _, "
            "beginning with a letter, like 'ada' or 'ada-lovelace'"
        )
    if Directory(ETC).get(name):
        raise RefusedError(
            f"the user {name} exists already: `opencode-user passwd {name}` changes the password"
        )
    if any(name in saved.all_names(ETC / file) for file in saved.FILES):
        raise RefusedError(f"the name {name} belongs to the system: choose another one")


def _check_known(name: str) -> None:
    accounts = [account.name for account in Directory(ETC)]
    if name in accounts:
        return
    known = f"the users are {', '.join(accounts)}" if accounts else "`opencode-user add` makes one"
    raise RefusedError(f"there is no user {name!r}: {known}")


def _check_not_last(name: str, force: bool) -> None:
    _check_known(name)
    enabled = [account.name for account in Directory(ETC) if account.is_enabled(time.time())]
    if enabled == [name] and not force:
        raise RefusedError(
            f"{name} is the last user who can sign in: add or enable another one first, "
            "or say --force if nobody shall be able to"
        )


def _read_password() -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Password, again: ") != password:
            raise RefusedError("the two passwords differ: nothing was changed, try again")
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n").decode(errors="surrogateescape")
    _check_password(password)
    return password


def _read_hash() -> str:
    text = sys.stdin.buffer.readline().strip().decode(errors="replace")
    if not HASH.fullmatch(text):
        raise RefusedError(
            "what stdin gives is no hash that crypt(5) knows as yescrypt or SHA-512: "
            "`openssl passwd -6` and `mkpasswd` make one"
        )
    return text


def _check_password(password: str) -> None:
    if not password:
        raise RefusedError(
            "the password is empty: give it as one line on stdin (docker exec -i), "
            "or run this in a terminal (docker exec -it)"
        )
    if len(password) < SHORTEST_PASSWORD:
        raise RefusedError(
            f"the password has {len(password)} characters: use at least {SHORTEST_PASSWORD}"
        )
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", password):
        raise RefusedError("the password has a control character in it or is no UTF-8: use text")
    if len(password.encode()) > LONGEST_PASSWORD:
        raise RefusedError(f"the password is too long: use at most {LONGEST_PASSWORD} bytes")


def _set_password(name: str, password: str, hashed: bool = False) -> None:
    _run("chpasswd", *(["--encrypted"] if hashed else []), stdin=f"{name}:{password}\n")


def _run(*command: str, stdin: str = "") -> None:
    """Run a command of the system's; what it says when it fails becomes our error."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip()}")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="opencode-user", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for function in (add, passwd, disable, enable, remove):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("name", metavar="USER")
        if function is add:
            told = "stdin gives the password's hash instead"
            command.add_argument("--hashed", action="store_true", help=told)
        if function in (disable, remove):
            command.add_argument("--force", action="store_true", help="even the last enabled user")
    for name, function in (("list", list_accounts), ("restore", restore)):
        commands.add_parser(name, help=function.__doc__).set_defaults(function=function)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run one command; gives the exit code: 0 done, 1 refused, 2 not understood."""
    options = vars(_parse(arguments))
    function = options.pop("function")
    if os.geteuid() != 0:
        print("opencode-user: only root may do this, as `docker exec` does", file=sys.stderr)
        return 1
    VOLUME.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (VOLUME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            function(**options)
        except (RefusedError, OSError) as error:
            print(f"opencode-user: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
