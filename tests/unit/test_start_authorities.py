import base64
from pathlib import Path

from opencode_cloud.start import authorities


def pem(content: str) -> str:
    body = base64.encodebytes(content.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


def machine(folder: Path, shipped: list[str], trusted: list[str]) -> tuple[Path, Path]:
    distributed = folder / "shipped"
    (distributed / "mozilla").mkdir(parents=True)
    for name in shipped:
        (distributed / "mozilla" / f"{name}.crt").write_text(pem(name))
    bundle = folder / "ca-certificates.crt"
    bundle.write_text("".join(pem(name) for name in trusted))
    return bundle, distributed


def test_a_machine_with_its_distributions_authorities_alone_has_no_extra_ones(tmp_path: Path):
    assert authorities.extra(*machine(tmp_path, ["A", "B", "C"], ["A", "B"])) == ""


def test_the_authorities_that_somebody_added_are_found(tmp_path: Path):
    found = authorities.extra(*machine(tmp_path, ["A"], ["company", "A", "proxy"]))
    assert found == pem("company") + pem("proxy")


def test_the_same_authorities_give_the_same_text_in_any_order(tmp_path: Path):
    one = authorities.extra(*machine(tmp_path / "1", ["A"], ["A", "x", "y", "x"]))
    other = authorities.extra(*machine(tmp_path / "2", ["A"], ["y", "x", "A"]))
    assert one == other


def test_a_machine_without_such_a_bundle_has_none(tmp_path: Path):
    assert authorities.extra(tmp_path / "none", tmp_path) == ""
    bundle, _ = machine(tmp_path, ["A"], ["A", "B"])
    assert authorities.extra(bundle, tmp_path / "none") == ""
