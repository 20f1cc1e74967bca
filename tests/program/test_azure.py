"""What is particular to the stack of Azure."""

from pathlib import Path
from typing import Any

import pytest

from tests.program.clouds import inputs, run
from tests.program.recorder import Recorder

MACHINE = ("azure-native:compute:VirtualMachine", "opencode-machine")
GROUP = "azure-native:resources:ResourceGroup"


@pytest.fixture(scope="module")
def azure(root: Path) -> Recorder:
    return run(root, "azure")


def test_the_provider_is_told_subscription_and_region(azure: Recorder):
    provider = azure.inputs("pulumi:providers:azure-native", "azure")
    assert provider["subscriptionId"] == "00000000-0000-0000-0000-000000000000"
    assert provider["location"] == "germanywestcentral"


def test_the_data_is_in_a_group_of_its_own_that_is_kept_with_it(azure: Recorder):
    data, machines = azure.sent[GROUP, "opencode-data"], azure.sent[GROUP, "opencode-group"]
    assert data.protect
    assert data.retainOnDelete
    assert not machines.protect
    disk = azure.inputs("azure-native:compute:Disk", "opencode-data")
    assert disk["resourceGroupName"] == "opencode-prod-data"
    assert azure.inputs(*MACHINE)["resourceGroupName"] == "opencode-prod"


def test_the_disk_is_encrypted_and_can_be_downloaded_by_nobody(azure: Recorder):
    disk = azure.inputs("azure-native:compute:Disk", "opencode-data")
    assert disk["encryption"] == {"type": "EncryptionAtRestWithPlatformKey"}
    assert disk["networkAccessPolicy"] == "DenyAll"


def test_the_machine_lets_its_data_disk_go_and_takes_its_own_along(azure: Recorder):
    profile: dict[str, Any] = azure.inputs(*MACHINE)["storageProfile"]
    assert profile["dataDisks"][0]["deleteOption"] == "Detach"
    assert profile["dataDisks"][0]["lun"] == 0
    assert profile["osDisk"]["deleteOption"] == "Delete"


def test_the_machine_has_no_rights_at_azure_and_no_password(azure: Recorder):
    machine = inputs(azure, MACHINE)
    assert "identity" not in machine
    assert machine["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is True
    assert "adminPassword" not in machine["osProfile"]


def test_the_address_stays(azure: Recorder):
    address = azure.inputs("azure-native:network:PublicIPAddress", "opencode-address")
    assert address["publicIPAllocationMethod"] == "Static"


def test_the_image_is_debians_newest_for_the_machines_architecture(azure: Recorder, root: Path):
    def image(recorder: Recorder) -> dict[str, str]:
        return recorder.inputs(*MACHINE)["storageProfile"]["imageReference"]

    wanted = {"publisher": "Debian", "offer": "debian-13", "version": "latest"}
    assert image(azure) == wanted | {"sku": "13-gen2"}
    assert image(run(root, "azure", size="Standard_B2pls_v2")) == wanted | {"sku": "13-arm64"}
