"""Prometheus' text format."""

from collections.abc import Mapping

from metrics import PREFIX

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"


def family(name: str, kind: str, text: str, samples: Mapping[str, float]) -> str:
    """One metric: samples by what follows the name, like `{code="2xx"}`, or nothing."""
    name = f"{PREFIX}_{name}"
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{rest} {value}" for rest, value in samples.items()]
    return "".join(f"{line}\n" for line in lines)
