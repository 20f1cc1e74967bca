"""A stack on a host over SSH, by plain `pulumi` and by `occ --host`."""

import json

from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import SshAddress
from tests.machine.conftest import RemoteOperator


def test_a_stack_on_a_host_is_up_there_and_again_changes_nothing(remote: RemoteOperator):
    stack = remote.deployment.stack
    health = remote.there.as_root(f"curl -sf {stack.outputs()['url']}/health")
    assert json.loads(health)["healthy"] is True
    again = stack.preview("--expect-no-changes", "--refresh")
    assert "error" not in again


def test_nothing_of_the_operators_way_there_is_a_secret_in_the_state(remote: RemoteOperator):
    stack = remote.deployment.stack
    state = stack.pulumi("stack", "export", "--stack", stack.name)
    assert str(remote.there.key) in state
    assert remote.there.key.read_text().splitlines()[1] not in state


def test_occ_looks_at_the_host_and_acts_on_it(remote: RemoteOperator):
    occ = remote.occ
    status = json.loads(occ("status", "--json"))
    assert status["state"] == "running", status
    assert status["health"] == "healthy", status
    assert occ("shell", "hostname").strip() == f"opencode-{remote.stack}"
    occ("stop")
    assert remote.there.as_root("docker ps -q") == ""
    occ("start")
    assert json.loads(occ("status", "--json"))["health"] == "healthy"


def test_a_way_that_was_cleared_away_is_opened_again(remote: RemoteOperator):
    remote.occ("status")
    way = Ssh.of(SshAddress.of(remote.there.settings, remote.stack), remote.data).files.docker
    assert way.stat().st_mode & 0o077 == 0
    way.unlink()
    assert json.loads(remote.occ("status", "--json"))["state"] == "running"
