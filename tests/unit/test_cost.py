"""What a machine costs."""

import re
import tomllib

import pytest

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.cost import HOURS, PRICES, estimate, load_balanced
from opencode_cloud.spec.machine_sizes import DEFAULT_SIZES, is_arm

CLOUDS = list(DEFAULT_SIZES)


@pytest.mark.parametrize("provider", CLOUDS)
def test_the_usual_machine_of_each_provider_has_a_price(provider: Target):
    found = estimate(provider, DEFAULT_SIZES[provider], 20)
    assert found.monthly
    assert 20 < found.monthly < 60
    assert found.text.startswith(f"{found.monthly:.2f} USD a month in ")


def test_hours_gigabytes_and_months_are_counted():
    lines = {line.what: line.monthly for line in estimate(Target.AWS, "t3.medium", 100).lines}
    assert lines["machine t3.medium"] == round(0.0416 * HOURS, 2) == 30.37
    assert lines["data disk 100 GB, gp3"] == 8.00
    assert lines["public IPv4 address"] == 3.65


def test_a_load_balancer_and_its_addresses_are_counted():
    without, behind = (
        estimate(Target.AWS, "t3.medium", 20, balanced) for balanced in (False, True)
    )
    assert without.monthly
    balancer, addresses = 0.0225 * HOURS, 2 * 0.005 * HOURS
    assert behind.monthly == pytest.approx(without.monthly + balancer + addresses, abs=0.02)
    assert "load balancer capacity units" in behind.not_counted


def test_a_size_without_a_price_is_unknown_and_never_free():
    found = estimate(Target.AWS, "x1.big", 20)
    assert found.monthly is None
    assert found.text == "unknown: prices.toml has no price for the machine x1.big"


def test_what_is_billed_by_use_is_named():
    assert estimate(Target.DIGITALOCEAN, "s-2vcpu-4gb", 20).not_counted == ("traffic",)
    assert "snapshots" in " ".join(estimate(Target.AWS, "t3.medium", 20).not_counted)


def test_every_price_says_of_when_and_from_where_it_is():
    for provider, prices in tomllib.loads(PRICES.read_text()).items():
        for name, row in {**prices["sizes"], **prices["parts"]}.items():
            assert row["per"] in ("hour", "month", "gb_month"), name
            assert re.fullmatch(r"20\d\d(-\d\d){0,2}", row["dated"]), (provider, name)
            assert len(row["source"]) > 10, (provider, name)


def test_a_machine_behind_a_load_balancer_and_nat_costs_more_than_twice_as_much():
    ours, theirs = estimate(Target.AWS, "t3.medium", 20), load_balanced("t3.medium", 30)
    assert ours.monthly
    assert theirs.monthly
    assert theirs.monthly > 2 * ours.monthly


@pytest.mark.parametrize(
    ("provider", "size", "arm"),
    [
        (Target.AWS, "t3.medium", False),
        (Target.AWS, "t4g.medium", True),
        (Target.AWS, "m7gd.large", True),
        (Target.AWS, "g5.xlarge", False),
        (Target.AWS, "a1.large", True),
        (Target.GCP, "e2-medium", False),
        (Target.GCP, "t2a-standard-1", True),
        (Target.GCP, "c4a-standard-2", True),
        (Target.AZURE, "Standard_B2als_v2", False),
        (Target.AZURE, "Standard_B2pls_v2", True),
        (Target.AZURE, "Standard_D2ps_v5", True),
        (Target.AZURE, "Standard_B2s", False),
        (Target.DIGITALOCEAN, "s-2vcpu-4gb", False),
    ],
)
def test_a_sizes_architecture_is_known_by_its_name(provider: Target, size: str, arm: bool):
    assert is_arm(provider, size) is arm
