"""Prints what a container's processes take, by user, as JSON: `kib` of memory, `seconds` of CPU.

Memory is the proportional set size (PSS). Runs beside the container, in its process namespace:
what measures from inside shares its own pages with the measured, and makes them smaller.
"""

import json
import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def value(process: Path, file: str, name: str) -> int:
    """The first number on the line of `file` that begins with `name`."""
    lines = (process / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def seconds(process: Path) -> float:
    """CPU time since its start."""
    # The name of the command, which comes first, may hold anything but a last bracket.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


def main() -> None:
    """Add up the processes that see the files of the container's first one."""
    files = (PROC / "1/ns/mnt").readlink()
    accounts = (PROC / "1/root/etc/passwd").read_text().splitlines()
    names = {int(fields[2]): fields[0] for fields in (line.split(":") for line in accounts)}
    sums: defaultdict[str, dict[str, float]] = defaultdict(lambda: {"kib": 0, "seconds": 0})
    for process in PROC.glob("[0-9]*"):
        try:
            if (process / "ns/mnt").readlink() != files:
                continue
            user = sums[names[value(process, "status", "Uid:")]]
            user["kib"] += value(process, "smaps_rollup", "Pss:")
            user["seconds"] += seconds(process)
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue  # It has ended.
    print(json.dumps(sums))


if __name__ == "__main__":
    main()
