"""The button of Azure: a template for its Resource Manager, and the form in front of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.buttons import described
from opencode_cloud.spec.buttons.described import DATA_DISK_GB, FORM
from opencode_cloud.spec.cost import SYSTEM_DISK_GB
from opencode_cloud.spec.machine import SSH_USER
from opencode_cloud.spec.machine_sizes import DEFAULT_SIZES

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
FORM_SCHEMA = (
    "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#"
)
NETWORK = "10.20.0.0/24"
# Those of which the tests have the types; they move with the SDK that `pyproject.toml` names.
NETWORK_API = "2025-07-01"
COMPUTE_API = "2025-11-01"
DISK_API = "2025-01-02"
DISK_SIZES_GB = (32, 64, 128, 256, 512, 1024)
"""What the form offers: the sizes that Azure bills, so that nobody pays for less than they get."""
NAME = "opencode"
LABELS = {"opencode-cloud-stack": "[resourceGroup().name]"}

FIELDS: Mapping[str, tuple[str, str, str]] = {
    "sshPublicKey": ("ssh_public_key", "@SSH_PUBLIC_KEY@", described.KEY_PATTERN),
    "sshFrom": ("ssh_from", "@SSH_FROM@", described.CIDR_PATTERN),
    "firstUser": ("first_user", "@FIRST_USER@", described.USER_PATTERN),
    "passwordHash": ("password_hash", "@FIRST_USER_HASH@", described.HASH_PATTERN),
    "image": ("image", "@IMAGE@", described.IMAGE_PATTERN),
    "domain": ("domain", "", described.DOMAIN_PATTERN),
}
"""Each parameter: what it is, the mark in the user-data that it stands for, and its pattern."""


def template(project: Path) -> str:
    """Write the template; ``project`` is the folder of ``Pulumi.yaml``."""
    return json.dumps(document(project), indent=2) + "\n"


def document(project: Path) -> dict[str, Any]:
    """Make the template, as values."""
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": _parameters(),
        "variables": {
            "userData": _user_data(project),
            "filledUserData": _filled(),
            "tls": "[if(empty(parameters('domain')), 'sslip', parameters('domain'))]",
            # The letter p is in the names of arm64 machines alone: Standard_B2pls_v2.
            "imageSku": "[if(contains(parameters('size'), 'p'), '13-arm64', '13-gen2')]",
        },
        "resources": [_rules(), _network(), _address(), _interface(), _disk(), _machine()],
        "outputs": _outputs(),
    }


def _parameters() -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {"type": "string", "metadata": {"description": FORM[field]}}
        for name, (field, _, _) in FIELDS.items()
    }
    found["passwordHash"]["type"] = "securestring"
    found["firstUser"]["defaultValue"] = "admin"
    found["domain"]["defaultValue"] = ""
    found["size"] = {
        "type": "string",
        "defaultValue": DEFAULT_SIZES[Target.AZURE],
        "metadata": {"description": FORM["size"]},
    }
    found["dataDiskGb"] = {
        "type": "int",
        "defaultValue": DATA_DISK_GB,
        "minValue": 10,
        "maxValue": 16384,
        "metadata": {"description": FORM["data_disk_gb"]},
    }
    found["location"] = {"type": "string", "defaultValue": "[resourceGroup().location]"}
    return found


def _user_data(project: Path) -> str:
    marks = {mark.strip("@"): mark for _, mark, _ in FIELDS.values() if mark}
    key = marks.pop("SSH_PUBLIC_KEY")
    values = {**marks, "TLS": "@TLS@", "ADDRESS": "@ADDRESS@"}
    return described.user_data(Target.AZURE, project, key, values)


def _filled() -> str:
    """Give the expression that puts the parameters in the place of their marks."""
    values = {mark: f"parameters('{name}')" for name, (_, mark, _) in FIELDS.items() if mark}
    # Resource Manager has no loop over texts.
    expression = "variables('userData')"
    for mark, value in {**values, "@TLS@": "variables('tls')"}.items():
        expression = f"replace({expression}, '{mark}', {value})"
    return f"[{expression}]"


def _id(kind: str) -> str:
    return f"[resourceId('{kind}', '{NAME}')]"


def _resource(kind: str, api: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "apiVersion": api,
        "name": NAME,
        "location": "[parameters('location')]",
        "tags": LABELS,
        **more,
        "properties": properties,
    }


def _rules() -> dict[str, Any]:
    opened = {"https": ("443", "*"), "http": ("80", "*"), "ssh": ("22", "[parameters('sshFrom')]")}
    rules = [
        {
            "name": name,
            "properties": {
                "priority": 100 + number,
                "direction": "Inbound",
                "access": "Allow",
                "protocol": "Tcp",
                "sourceAddressPrefix": source,
                "sourcePortRange": "*",
                "destinationAddressPrefix": "*",
                "destinationPortRange": port,
            },
        }
        for number, (name, (port, source)) in enumerate(opened.items())
    ]
    kind = "Microsoft.Network/networkSecurityGroups"
    return _resource(kind, NETWORK_API, {"securityRules": rules})


def _network() -> dict[str, Any]:
    rules = _id("Microsoft.Network/networkSecurityGroups")
    subnet = {
        "name": "machines",
        "properties": {"addressPrefix": NETWORK, "networkSecurityGroup": {"id": rules}},
    }
    return _resource(
        "Microsoft.Network/virtualNetworks",
        NETWORK_API,
        {"addressSpace": {"addressPrefixes": [NETWORK]}, "subnets": [subnet]},
        dependsOn=[rules],
    )


def _address() -> dict[str, Any]:
    return _resource(
        "Microsoft.Network/publicIPAddresses",
        NETWORK_API,
        {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"},
        sku={"name": "Standard"},
    )


def _interface() -> dict[str, Any]:
    network, address = (
        _id("Microsoft.Network/virtualNetworks"),
        _id("Microsoft.Network/publicIPAddresses"),
    )
    subnet = f"[resourceId('Microsoft.Network/virtualNetworks/subnets', '{NAME}', 'machines')]"
    configuration = {
        "name": "public",
        "properties": {
            "privateIPAllocationMethod": "Dynamic",
            "subnet": {"id": subnet},
            "publicIPAddress": {"id": address},
        },
    }
    return _resource(
        "Microsoft.Network/networkInterfaces",
        NETWORK_API,
        {"ipConfigurations": [configuration]},
        dependsOn=[network, address],
    )


def _disk() -> dict[str, Any]:
    return _resource(
        "Microsoft.Compute/disks",
        DISK_API,
        {
            "creationData": {"createOption": "Empty"},
            "diskSizeGB": "[parameters('dataDiskGb')]",
            "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "networkAccessPolicy": "DenyAll",
            "publicNetworkAccess": "Disabled",
        },
        sku={"name": "StandardSSD_LRS"},
    )


def _machine() -> dict[str, Any]:
    interface, disk = _id("Microsoft.Network/networkInterfaces"), _id("Microsoft.Compute/disks")
    key = {
        "path": f"/home/{SSH_USER}/.ssh/authorized_keys",
        "keyData": "[parameters('sshPublicKey')]",
    }
    address = f"reference({_id('Microsoft.Network/publicIPAddresses')[1:-1]}).ipAddress"
    return _resource(
        "Microsoft.Compute/virtualMachines",
        COMPUTE_API,
        {
            "hardwareProfile": {"vmSize": "[parameters('size')]"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Debian",
                    "offer": "debian-13",
                    "sku": "[variables('imageSku')]",
                    "version": "latest",
                },
                "osDisk": {
                    "createOption": "FromImage",
                    "deleteOption": "Delete",
                    "diskSizeGB": SYSTEM_DISK_GB[Target.AZURE],
                    "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
                },
                "dataDisks": [
                    {
                        "lun": 0,
                        "createOption": "Attach",
                        "deleteOption": "Detach",
                        "managedDisk": {"id": disk},
                    }
                ],
            },
            "osProfile": {
                "computerName": NAME,
                "adminUsername": SSH_USER,
                "customData": "[base64(replace(variables('filledUserData'), '@ADDRESS@', "
                f"{address}))]",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": True,
                    "ssh": {"publicKeys": [key]},
                },
            },
            "networkProfile": {"networkInterfaces": [{"id": interface}]},
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
        },
        dependsOn=[interface, disk],
    )


def _outputs() -> dict[str, Any]:
    address = f"reference({_id('Microsoft.Network/publicIPAddresses')[1:-1]}).ipAddress"
    sslip = f"concat(replace({address}, '.', '-'), '.sslip.io')"
    host = f"if(empty(parameters('domain')), {sslip}, parameters('domain'))"
    return {
        "url": {"type": "string", "value": f"[concat('https://', {host})]"},
        "address": {"type": "string", "value": f"[{address}]"},
        "ssh": {"type": "string", "value": f"[concat('ssh {SSH_USER}@', {address})]"},
    }


def form(image: str = "") -> str:
    """Write the form that Azure's portal shows; `image` is what it offers."""
    boxes = [_box(name, *about) for name, about in FIELDS.items()]
    by_name = {box["name"]: box for box in boxes}
    by_name["firstUser"]["defaultValue"] = "admin"
    by_name["domain"]["constraints"]["required"] = False
    if image:
        by_name["image"]["defaultValue"] = image
    outputs = {name: f"[steps('machine').{name}]" for name in (*FIELDS, "size")}
    outputs["dataDiskGb"] = "[int(steps('machine').dataDiskGb)]"
    size = {
        "name": "size",
        "type": "Microsoft.Compute.SizeSelector",
        "label": "Size",
        "toolTip": FORM["size"],
        "recommendedSizes": [DEFAULT_SIZES[Target.AZURE], "Standard_B2s"],
        "osPlatform": "Linux",
        "count": 1,
    }
    step = {
        "name": "machine",
        "label": "The machine",
        "subLabel": {"preValidation": "What only you know", "postValidation": "Said"},
        "bladeTitle": "The machine",
        "elements": [*boxes, size, _disk_sizes()],
    }
    definition = {
        "$schema": FORM_SCHEMA,
        "handler": "Microsoft.Azure.CreateUIDef",
        "version": "0.1.2-preview",
        "parameters": {
            "basics": [],
            "steps": [step],
            "outputs": {**outputs, "location": "[location()]"},
        },
    }
    return json.dumps(definition, indent=2) + "\n"


def _disk_sizes() -> dict[str, Any]:
    offered = [{"label": f"{size} GB", "value": str(size)} for size in DISK_SIZES_GB]
    enough = next(size for size in DISK_SIZES_GB if size >= DATA_DISK_GB)
    return {
        "name": "dataDiskGb",
        "type": "Microsoft.Common.DropDown",
        "label": "Data disk",
        "defaultValue": f"{enough} GB",
        "toolTip": FORM["data_disk_gb"],
        "constraints": {"allowedValues": offered, "required": True},
    }


def _box(name: str, field: str, _mark: str, pattern: str) -> dict[str, Any]:
    label = FORM[field].partition(".")[0].partition(",")[0].partition(":")[0]
    box = {
        "name": name,
        "type": "Microsoft.Common.TextBox",
        "label": label,
        "toolTip": FORM[field],
        "constraints": {
            "required": True,
            "regex": pattern,
            "validationMessage": FORM[field],
        },
    }
    if _parameters()[name]["type"] != "securestring":
        return box
    return box | {
        "type": "Microsoft.Common.PasswordBox",
        "label": {"password": label, "confirmPassword": label},
        # It is pasted.
        "options": {"hideConfirmation": True},
    }
