import json
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest

from tests.program.recorder import Recorder

CONTAINER = ("docker:index/container:Container", "opencode-container")
LOCAL = {"opencode:image_source": "build"}


@pytest.fixture
def local(root: Path) -> Recorder:
    return Recorder().run(root, "local", LOCAL)


def test_the_identities_of_a_local_stacks_resources_are_kept(local: Recorder):
    golden = json.loads((Path(__file__).parent / "golden/local.json").read_text())
    assert local.urns() == golden


def test_every_resource_uses_the_docker_host_that_the_settings_name(local: Recorder):
    assert local.inputs("pulumi:providers:docker", "docker") == {
        "host": "unix:///var/run/docker.sock"
    }
    leaves = [r for (kind, _), r in local.sent.items() if kind.startswith("docker:")]
    assert len(leaves) == 10
    assert all("pulumi:providers:docker::docker::" in resource.provider for resource in leaves)


def test_the_container_is_reached_on_loopback_and_has_the_least_rights(local: Recorder):
    inputs = local.inputs(*CONTAINER)
    assert inputs["ports"] == [{"internal": 8080, "external": 4096, "ip": "127.0.0.1"}]
    assert inputs["capabilities"]["drops"] == ["ALL"]
    assert "CAP_SYS_ADMIN" not in inputs["capabilities"]["adds"]
    assert inputs["securityOpts"] == ["no-new-privileges"]
    assert inputs["memory"] == inputs["memorySwap"] == 2048
    assert "privileged" not in inputs
    assert not [volume for volume in inputs["volumes"] if "hostPath" in volume]


def test_the_container_runs_the_image_and_waits_until_opencode_is_healthy(local: Recorder):
    inputs = local.inputs(*CONTAINER)
    assert inputs["image"] == "sha256:1"
    assert inputs["wait"] is True
    assert inputs["healthcheck"]["interval"] == "3s"
    assert inputs["healthcheck"]["startPeriod"] == "30s"


def test_data_outlives_the_stack_unless_its_name_is_said(local: Recorder, root: Path):
    def kept(recorder: Recorder) -> set[bool]:
        return {
            resource.retainOnDelete
            for (kind, _), resource in recorder.sent.items()
            if kind == "docker:index/volume:Volume"
        }

    assert kept(local) == {True}
    armed = LOCAL | {"opencode:delete_data_on_destroy": "local"}
    assert kept(Recorder().run(root, "local", armed)) == {False}


def test_each_child_belongs_to_its_component(local: Recorder):
    def parent(kind: str, name: str) -> str:
        return local.sent[kind, name].parent.rsplit("$", 1)[-1]

    assert parent(*CONTAINER) == "opencode:index:OpencodeContainer::opencode"
    assert (
        parent("docker:index/volume:Volume", "opencode-data")
        == "opencode:index:OpencodeVolumes::opencode"
    )
    assert (
        parent("docker:index/remoteImage:RemoteImage", "opencode-image")
        == "opencode:index:OpencodeImage::opencode"
    )


def test_two_stacks_name_nothing_alike_on_the_host(local: Recorder, root: Path):
    other = Recorder().run(root, "other", LOCAL | {"opencode:port": "4097"})

    def names(recorder: Recorder) -> set[str]:
        return {inputs["name"] for inputs in recorder.all_inputs() if "name" in inputs}

    assert len(names(local)) == 9, "the network has the name of its container"
    assert not names(local) & names(other)


def test_a_prebuilt_image_is_pulled_and_nothing_is_built(root: Path):
    reference = "127.0.0.1:5000/opencode-cloud@sha256:" + "b" * 64
    recorder = Recorder().run(root, "local", {"opencode:prebuilt_image": reference})
    image = recorder.inputs("docker:index/remoteImage:RemoteImage", "opencode-image")
    assert image == {"name": reference, "keepLocally": True}


def test_exposure_is_warned_about_at_every_run(root: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    exposed = LOCAL | {
        "opencode:bind_address": "0.0.0.0",
        "opencode:allow_network_exposure": "true",
    }
    Recorder().run(root, "local", exposed)
    assert [line for line in said if "0.0.0.0:4096 can be reached by other machines" in line]
    said.clear()
    Recorder().run(root, "local", LOCAL)
    assert not said


def test_settings_that_cannot_be_used_stop_the_program_before_anything_is_registered(root: Path):
    recorder = Recorder()
    with pytest.raises(pulumi.RunError) as caught:
        recorder.run(root, "local", {"opencode:port": "0", "opencode:bind_address": "everywhere"})
    assert "3 settings of stack 'local' cannot be used" in str(caught.value)
    assert not [kind for kind, _ in recorder.sent if kind.startswith(("docker:", "opencode:"))]


def test_no_input_is_the_text_of_an_unresolved_output(local: Recorder):
    assert "Calling __str__" not in json.dumps(local.all_inputs(), default=str)


def test_a_local_stack_loads_no_cloud_sdk(root: Path):
    probe = (
        "import sys, stacks.local; "
        "print([m for m in sys.modules if m.startswith(('pulumi_aws', 'pulumi_gcp', "
        "'pulumi_azure', 'pulumi_digitalocean', 'boto3'))])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_folders_of_the_host_are_mounted_by_their_real_paths_and_none_is_made(
    root: Path, tmp_path: Path
):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    specs = f"{tmp_path}/link:/workspace/a,{tmp_path}:/workspace/b:ro"
    recorder = Recorder().run(root, "local", LOCAL | {"opencode:mounts": specs})
    inputs = recorder.inputs(*CONTAINER)
    assert inputs["mounts"] == [
        {
            "type": "bind",
            "source": f"{tmp_path}/real",
            "target": "/workspace/a",
            "readOnly": False,
        },
        {"type": "bind", "source": str(tmp_path), "target": "/workspace/b", "readOnly": True},
    ]
    assert not [volume for volume in inputs["volumes"] if "hostPath" in volume]


def test_folders_that_cannot_be_mounted_stop_the_program_before_anything_is_registered(
    root: Path, tmp_path: Path
):
    recorder = Recorder()
    specs = f"{tmp_path}/nowhere:/workspace/a,/var/run:/workspace/b,{tmp_path}:/workspace/c"
    with pytest.raises(pulumi.RunError) as caught:
        recorder.run(root, "local", LOCAL | {"opencode:mounts": specs})
    said = str(caught.value)
    assert "2 settings of stack 'local' cannot be used" in said
    assert "does not exist" in said
    assert "a container engine's socket" in said
    assert not [kind for kind, _ in recorder.sent if kind.startswith(("docker:", "opencode:"))]


def test_a_folder_that_gives_too_much_away_is_warned_about_at_every_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    Recorder().run(root, "local", LOCAL | {"opencode:mounts": "/etc:/workspace/etc:ro"})
    assert said == [
        "/etc holds this machine's settings, password hashes among them: the agent could read it"
    ]


def test_the_agents_ids_reach_the_container(root: Path):
    recorder = Recorder().run(root, "local", LOCAL | {"opencode:puid": "501"})
    assert "OPENCODE_CLOUD_PUID=501" in recorder.inputs(*CONTAINER)["envs"]
