import re

from hypothesis import given
from hypothesis import strategies as st
from session.metrics import exposition
from session.upstream import Health

LABELS = r'\{(\w+="([^"\\\n]|\\.)*",?)+\}'
LINE = re.compile(
    rf"# (HELP|TYPE) opencode_cloud_\w+ [^\n]+|opencode_cloud_\w+({LABELS})? \d+",
)


@given(st.text())
def test_every_line_is_one_that_prometheus_reads(version: str):
    text = exposition(3, {}, Health(True, version=version))
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        assert LINE.fullmatch(line), line


def test_each_family_says_what_it_is():
    lines = exposition(3, {}, Health(False, reason="x")).splitlines()
    names = {line.split(" ")[0].partition("{")[0] for line in lines if not line.startswith("#")}
    for name in names:
        assert [line for line in lines if line.startswith(f"# HELP {name} ")]
        kind = "counter" if name.endswith("_total") else "gauge"
        assert f"# TYPE {name} {kind}" in lines


def test_what_has_not_happened_yet_is_zero_and_not_missing():
    text = exposition(0, {}, Health(False))
    assert text.count("opencode_cloud_sign_ins_total{") == 6
    assert "opencode_cloud_revocations_total 0" in text


def test_all_that_voids_a_sign_in_is_a_revocation():
    counts = {
        ("session_revoked", None): 1,
        ("signed_out_everywhere", None): 2,
        ("account_changed", "form"): 3,
        ("account_changed", "basic"): 4,
        ("sign_out", None): 5,
    }
    assert "opencode_cloud_revocations_total 10" in exposition(0, counts, Health(False))
