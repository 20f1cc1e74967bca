"""Plays gcloud and doctl for the scripts in deploy/: strict in what it takes, and it remembers.

    python -m tests.engine.fake_cloud gcloud|doctl ARGUMENT...

What it has made and how it was called is in the JSON file that FAKE_CLOUD names. A call whose
command is FAKE_FAILS ends with an error before anything is made; one of FAKE_HANGS does not end.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from tests.engine.fake_cloud_grammar import UsageError, read

Made = dict[str, dict[str, Any]]


def fail(message: str) -> NoReturn:
    """End as the tools do."""
    print(f"ERROR: {message}", file=sys.stderr)
    sys.exit(1)


def there(made: Made, kind: str, name: str) -> dict[str, Any]:
    """Give what was made, which has to be there."""
    if name not in made.get(kind, {}):
        fail(f"there is no {name} in {kind}")
    return made[kind][name]


def keep(made: Made, kind: str, name: str, what: dict[str, Any]) -> None:
    """Keep what is made, which must not be there."""
    if name in made.setdefault(kind, {}):
        fail(f"there is a {name} in {kind} already")
    made[kind][name] = what


def lasting(flags: dict[str, str]) -> dict[str, Any]:
    """Give the flags without the names of files, whose contents are kept."""
    return {name: value for name, value in flags.items() if "-file" not in name}


def gcloud(made: Made, words: str, beside: list[str], flags: dict[str, str]) -> None:
    """Do what a call of gcloud says."""
    if words == "config get-value":
        print("example-project")
        return
    kind, _, verb = words.removeprefix("compute ").rpartition(" ")
    [name] = beside
    if verb == "describe":
        found = there(made, kind, name)
        asked = flags.get("--format", "").removeprefix("value(").removesuffix(")")
        print(found.get(asked, "") if asked else json.dumps(found))
    elif verb == "add-resource-policies":
        policy = flags["--resource-policies"]
        there(made, "resource-policies", policy)
        disk = there(made, kind, name)
        if "resourcePolicies" in disk:
            fail("the disk has a snapshot schedule already")
        disk["resourcePolicies"] = policy
    elif verb == "snapshot-schedule":
        keep(made, "resource-policies", name, flags)
    else:
        _of_google(made, kind, name, flags)


def _of_google(made: Made, kind: str, name: str, flags: dict[str, str]) -> None:
    what: dict[str, Any] = lasting(flags)
    if "--network" in flags:
        there(made, "networks", flags["--network"])
    if kind == "addresses":
        what["address"] = "203.0.113.7"
    if kind == "instances":
        there(made, "networks subnets", flags["--subnet"])
        disk = dict(part.split("=") for part in flags["--disk"].split(","))
        there(made, "disks", disk["name"])
        if flags["--address"] not in [known["address"] for known in made["addresses"].values()]:
            fail("the address is not reserved")
        files = dict(part.split("=") for part in flags["--metadata-from-file"].split(","))
        what["files"] = {key: Path(path).read_text() for key, path in files.items()}
    keep(made, kind, name, what)


def doctl(made: Made, words: str, beside: list[str], flags: dict[str, str]) -> None:
    """Do what a call of doctl says."""
    kind, verb = words.removeprefix("compute ").split()
    name = beside[0] if beside else flags.get("--name", "")
    if verb == "list":
        show(list(made.get(kind, {}).values()), flags)
        return
    if verb == "get":
        there(made, kind, name)
        return
    if verb == "assign":
        address, droplet = beside
        if droplet not in [known["ID"] for known in made.get("droplet", {}).values()]:
            fail("there is no such Droplet")
        there(made, "reserved-ip", address)["DropletID"] = droplet
        return
    what = {**lasting(flags), "ID": str(1000 + len(made.get(kind, {}))), "Name": name}
    if verb == "import":
        line = Path(flags["--public-key-file"]).read_text()
        name = os.environ["FAKE_FINGERPRINT"]
        what["line"] = line
    if kind == "reserved-ip":
        name = f"203.0.113.{7 + len(made.get(kind, {}))}"
        what |= {"IP": name, "DropletID": ""}
    if kind == "droplet":
        _droplet_can_be_made(made, flags)
        what["user-data"] = Path(flags["--user-data-file"]).read_text()
    keep(made, kind, name, what)
    show([what], flags)


def _droplet_can_be_made(made: Made, flags: dict[str, str]) -> None:
    there(made, "ssh-key", flags["--ssh-keys"])
    there(made, "tag", flags["--tag-names"])
    if flags["--volumes"] not in [known["ID"] for known in made["volume"].values()]:
        fail("there is no such volume")


def show(rows: list[dict[str, Any]], flags: dict[str, str]) -> None:
    """Print columns as doctl does."""
    columns = flags.get("--format", "ID,Name").split(",")
    if "--no-header" not in flags:
        print("    ".join(columns))
    for row in rows:
        print("    ".join(row[column] for column in columns))


def main() -> None:
    """Take one call."""
    tool, *arguments = sys.argv[1:]
    path = Path(os.environ["FAKE_CLOUD"])
    state = json.loads(path.read_text()) if path.exists() else {"made": {}, "calls": []}
    state["calls"].append([tool, *arguments])
    path.write_text(json.dumps(state))
    try:
        words, beside, flags = read(tool, arguments)
    except UsageError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(2)
    if words == os.environ.get("FAKE_FAILS"):
        fail("the cloud has a bad day")
    if words == os.environ.get("FAKE_HANGS"):
        Path(f"{path}.hangs").touch()
        signal.pause()
    {"gcloud": gcloud, "doctl": doctl}[tool](state["made"], words, beside, flags)
    path.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
