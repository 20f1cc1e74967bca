"""What ssh is told about a host, and what a person is told about ssh's complaints."""

from pathlib import Path

import pytest

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops.ssh import explained
from opencode_cloud.spec.ssh import SshAddress, SshFiles, command, options

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPyZ0Cs0Yk2yI5yUj6VQ3Y4r1nqk1dRk2Ihn9mWcK0aB"
OTHER = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY="
SETTINGS = {"ssh_host": "ada@box", "ssh_port": "2222", "ssh_host_key": f"{KEY},{OTHER}"}
FILES = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))
REMOTE = {"target": "ssh", "image_source": "build", **SETTINGS}


def address(**more: str) -> SshAddress:
    return SshAddress.of(SETTINGS | more, "prod")


def test_a_host_is_known_by_its_stack_and_not_by_an_address_that_may_change():
    assert address().known_hosts == f"opencode-cloud-prod {KEY}\nopencode-cloud-prod {OTHER}\n"
    assert "HostKeyAlias=opencode-cloud-prod" in options(address(), FILES)


def test_a_host_key_is_never_taken_unseen_and_nothing_is_asked():
    words = options(address(), FILES)
    for wanted in ("StrictHostKeyChecking=yes", "BatchMode=yes", "UpdateHostKeys=no"):
        assert wanted in words
    assert "UserKnownHostsFile=/k" in words
    assert "GlobalKnownHostsFile=/dev/null" in words


def test_every_call_shares_one_connection():
    words = options(address(), FILES)
    assert "ControlMaster=auto" in words
    assert "ControlPath=/c" in words


def test_what_the_settings_leave_open_is_left_to_ssh():
    bare = SshAddress.of({"ssh_host": "box"}, "prod")
    assert bare.destination == "box"
    assert not {"-p", "-i", "-J"} & set(options(bare, FILES))
    full = address(ssh_identity_file="/keys/id", ssh_jump="jump@hop:22")
    words = options(full, FILES)
    assert words[words.index("-i") + 1] == "/keys/id"
    assert words[words.index("-J") + 1] == "jump@hop:22"
    assert full.command == "ssh -p 2222 -i /keys/id -o IdentitiesOnly=yes -J jump@hop:22 ada@box"


def test_words_of_a_command_reach_the_host_as_they_are():
    line = command(address(), FILES, "sh", "-c", "echo 'a b'; exit 3")
    assert line[-3:-1] == ("--", "ada@box")
    assert line[-1] == "sh -c 'echo '\"'\"'a b'\"'\"'; exit 3'"


def test_another_key_or_address_is_another_connection():
    marks = {
        each.fingerprint()
        for each in (address(), address(ssh_port="22"), address(ssh_host_key=KEY))
    }
    assert len(marks) == 3
    # The path of a socket has at most 107 characters, and ssh puts 17 behind it while it connects.
    assert all(len(mark) == 16 for mark in marks)


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ({"ssh_host": ""}, "ssh_host", "occ host add"),
        ({"ssh_host": "-oProxyCommand=x"}, "ssh_host", "no host that ssh"),
        ({"ssh_host": "ada@box:22"}, "ssh_host", "ssh_port"),
        ({"ssh_host_key": ""}, "ssh_host_key", "pretend to be the host"),
        ({"ssh_host_key": "ssh-rsa nonsense"}, "ssh_host_key", "no public key"),
        ({"ssh_jump": "a b"}, "ssh_jump", "no host to jump through"),
        ({"ssh_identity_file": "id"}, "ssh_identity_file", "not an absolute path"),
        ({"target": "local"}, "ssh_host", "target is local"),
        ({"groups": "Prod"}, "groups", "no name of a group"),
    ],
)
def test_settings_that_lead_nowhere_or_to_anybody_are_refused(
    more: dict[str, str], key: str, words: str
):
    with pytest.raises(SettingsError) as caught:
        load(REMOTE | more, "prod")
    found = {problem.key: str(problem) for problem in caught.value.problems}
    assert key in found
    assert words in found[key]


def test_a_whole_remote_stack_is_taken():
    settings = load(REMOTE | {"ssh_host": "2001:db8::1", "groups": "prod, eu"}, "prod")
    assert settings.ssh_host == "2001:db8::1"
    assert settings.groups == "prod,eu"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Host key verification failed.", "--accept-host-key"),
        ("ada@box: Permission denied (publickey).", "authorized_keys"),
        ("ssh: connect to host box port 22: Connection refused", "has moved"),
        ("", "no reason given"),
    ],
)
def test_sshs_complaints_come_with_what_to_do(said: str, words: str):
    text = explained(address(), said)
    assert words in text
    assert "ada@box" in text
