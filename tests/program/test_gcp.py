"""What is particular to the stack of Google Cloud."""

from pathlib import Path

import pulumi
import pytest

from tests.program.clouds import inputs, run
from tests.program.recorder import Recorder

INSTANCE = ("gcp:compute/instance:Instance", "opencode-machine")


@pytest.fixture(scope="module")
def gcp(root: Path) -> Recorder:
    return run(root, "gcp")


def test_the_provider_is_told_project_region_and_zone(gcp: Recorder):
    provider = gcp.inputs("pulumi:providers:gcp", "gcp")
    assert provider["project"] == "example"
    assert provider["region"] == "europe-west3"
    assert provider["zone"] == "europe-west3-a"


def test_a_region_where_a_zone_is_wanted_is_refused_in_words(root: Path):
    with pytest.raises(pulumi.RunError, match="such as europe-west3-a"):
        run(root, "gcp", region="europe-west3")


def test_the_machine_has_no_rights_at_google_and_takes_no_keys_of_the_project(gcp: Recorder):
    machine = inputs(gcp, INSTANCE)
    assert "serviceAccount" not in machine
    assert machine["metadata"]["block-project-ssh-keys"] == "TRUE"
    assert machine["metadata"]["enable-oslogin"] == "FALSE"


def test_cloud_init_is_brought_to_an_image_that_has_none(gcp: Recorder):
    script = inputs(gcp, INSTANCE)["metadata"]["startup-script"]
    assert "apt install cloud-init" in script


def test_the_machine_finds_its_disk_by_name(gcp: Recorder):
    assert gcp.inputs(*INSTANCE)["attachedDisks"] == [
        {"source": "opencode-data-id", "deviceName": "opencode-data"}
    ]


def test_the_machine_is_started_again_and_shielded(gcp: Recorder):
    machine = gcp.inputs(*INSTANCE)
    assert machine["scheduling"] == {"automaticRestart": True, "onHostMaintenance": "MIGRATE"}
    assert machine["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert machine["allowStoppingForUpdate"] is True


def test_snapshots_outlive_the_disk_that_they_are_of(gcp: Recorder):
    policy = gcp.inputs("gcp:compute/resourcePolicy:ResourcePolicy", "opencode-snapshots")
    schedule = policy["snapshotSchedulePolicy"]
    assert schedule["schedule"]["dailySchedule"] == {"daysInCycle": 1, "startTime": "03:00"}
    assert schedule["retentionPolicy"] == {
        "maxRetentionDays": 7,
        "onSourceDiskDelete": "KEEP_AUTO_SNAPSHOTS",
    }
    attached = gcp.inputs(
        "gcp:compute/diskResourcePolicyAttachment:DiskResourcePolicyAttachment",
        "opencode-snapshots",
    )
    assert attached["disk"] == "opencode-prod-data"


def test_the_image_is_debians_newest_for_the_machines_architecture(gcp: Recorder, root: Path):
    def family(recorder: Recorder) -> str:
        return recorder.inputs(*INSTANCE)["bootDisk"]["initializeParams"]["image"]

    assert family(gcp) == "projects/debian-cloud/global/images/family/debian-13"
    arm = run(root, "gcp", size="t2a-standard-1")
    assert family(arm) == "projects/debian-cloud/global/images/family/debian-13-arm64"
