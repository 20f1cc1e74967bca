"""What several tests of the metrics stand on."""

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\})|(?=\})))*\}'
_SAMPLE = re.compile(rf"({_NAME})({_LABELS})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|\+Inf|NaN)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


def read_exposition(text: str) -> dict[str, float]:
    """The samples of a page in Prometheus' text format; fails on what Prometheus would not take.

    Stricter than Prometheus: each metric has its help and its type, once, before its samples.
    """
    assert not text or text.endswith("\n")
    samples: dict[str, float] = {}
    kinds: dict[str, str] = {}
    helped: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, said = line[len("# HELP ") :].partition(" ")
            assert said
            assert name not in helped, f"{name} comes twice"
            helped.append(name)
        elif line.startswith("# TYPE "):
            name, kind = line[len("# TYPE ") :].split(" ")
            assert helped[-1] == name
            assert kind in ("counter", "gauge", "histogram")
            assert kind != "counter" or name.endswith("_total")
            kinds[name] = kind
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            current = helped[-1]
            assert found[1] in [current + end for end in _SUFFIXES.get(kinds[current], ("",))]
            key = found[1] + (found[2] or "")
            assert key not in samples, f"{key} comes twice"
            samples[key] = float(found[3])
    return samples
