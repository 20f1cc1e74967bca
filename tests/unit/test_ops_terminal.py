from opencode_cloud.ops.terminal import AGENT, ROOT, variables
from opencode_cloud.spec.container import VARIABLE_PREFIX

CONTAINER = {"PATH": "/bin", "OPENCODE_CLOUD_TLS": "off", f"{VARIABLE_PREFIX}PATH": "/x", "A": "1"}


def test_the_agents_shell_has_what_opencode_was_given():
    assert variables(AGENT, CONTAINER) == ["PATH=/x"]


def test_nothing_of_it_decides_what_root_runs():
    assert variables(ROOT, CONTAINER) == []
