import pytest

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops import setup_plan
from opencode_cloud.ops.setup_plan import NEW, Person, Plan, Said
from opencode_cloud.ops.stack_document import Document

DIGEST = "registry.example/opencode@sha256:" + "ab" * 32


def document(text: str = NEW) -> Document:
    return Document("stacks/Pulumi.local.yaml", text)


def written(answers: dict[str, str], text: str = NEW) -> str:
    return setup_plan.written(document(text), "local", answers).text


def test_a_new_stack_builds_its_image_and_listens_on_loopback():
    offered = setup_plan.proposals(document("config: {}\n"))
    assert offered["image_source"] == "build"
    assert offered["bind_address"] == "127.0.0.1"
    assert offered["allow_network_exposure"] == "false"
    assert offered["restart_policy"] == "unless-stopped"


def test_taking_all_that_is_offered_writes_nothing():
    assert written(setup_plan.proposals(document())) == NEW


def test_the_answers_of_before_are_offered_again():
    said = setup_plan.proposals(document()) | {"port": "5000", "restart_policy": "on-failure:3"}
    again = document(written(said))
    assert setup_plan.proposals(again) == said
    assert written(setup_plan.proposals(again), again.text) == again.text


def test_an_answer_that_is_the_default_is_taken_out_of_the_file():
    text = f'{NEW}  opencode:port: "5000"\n  env:EDITOR: nano\n'
    assert written({"port": "4096"}, text) == f"{NEW}  env:EDITOR: nano\n"


def test_a_digest_goes_with_pulling():
    text = written({"image_source": "prebuilt", "prebuilt_image": DIGEST})
    assert load(document(text).values, "local").prebuilt_image == DIGEST


@pytest.mark.parametrize(
    ("answers", "name", "words"),
    [
        ({"port": "70000"}, "port", "less than or equal to 65535"),
        (
            {"prebuilt_image": "opencode:latest", "image_source": "prebuilt"},
            "prebuilt_image",
            "digest",
        ),
        ({"bind_address": "everywhere"}, "bind_address", "not an IP address"),
        ({"bind_address": "0.0.0.0"}, "bind_address", "can be reached by other machines"),
        ({"tls": "http://x"}, "tls", "domain name"),
        ({"mounts": "relative:/workspace/x"}, "mounts", "absolute"),
        ({"restart_policy": "on-failure:0"}, "restart_policy", "on-failure:5"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_why(answers: dict[str, str], name: str, words: str):
    assert words in setup_plan.problem(document(), "local", answers, name)
    with pytest.raises(SettingsError):
        written(answers)


def test_an_answer_is_not_blamed_for_another():
    answers = {"port": "5000", "tls": "???"}
    assert setup_plan.problem(document(), "local", answers, "port") == ""


def plan(answers: dict[str, str], source: str = "generated") -> dict[str, str]:
    settings = load(document(written(answers)).values, "second")
    made = Plan(
        stack="second",
        where="this machine",
        file="stacks/Pulumi.second.yaml",
        settings=settings,
        person=Person(name="ada", source=source),
        keys=("OPENAI_API_KEY",),
        missing=("Pulumi engine",),
        replaces="",
    )
    return {name: words for name, words in made.lines if name}


def test_what_will_be_done_names_file_container_address_and_user():
    lines = plan({"port": "5000"})
    assert lines["Settings"] == "written to stacks/Pulumi.second.yaml"
    assert lines["Container"].startswith("opencode-second")
    assert lines["URL"] == "http://127.0.0.1:5000"
    assert lines["User"].startswith("ada, with a generated password")
    assert lines["API keys"] == "OPENAI_API_KEY (encrypted)"
    assert lines["Bring first"] == "Pulumi engine"
    assert "Mounts" not in lines


def test_an_address_that_others_reach_is_warned_of_as_loud_as_it_is_open():
    answers = {"bind_address": "0.0.0.0", "allow_network_exposure": "true"}
    bare, encrypted = (
        load(document(written(answers | tls)).values, "local")
        for tls in ({"tls": "off"}, {"tls": "internal"})
    )
    assert "NOT ENCRYPTED" in setup_plan.exposure_words(bare)
    assert "is encrypted" in setup_plan.exposure_words(encrypted)


def test_the_command_without_questions_says_every_answer():
    answers = {
        "port": "5000",
        "mounts": "/a b:/workspace/a,/c:/workspace/c:ro",
        "allow_network_exposure": "true",
    }
    assert setup_plan.command("occ setup", answers, ["--user ada"]) == (
        "occ setup --port 5000 --mount '/a b:/workspace/a' --mount /c:/workspace/c:ro "
        "--allow-network-exposure --user ada --yes"
    )


def test_no_password_and_no_key_is_printed_with_the_answers():
    said = Said(
        answers={},
        person=Person(name="ada", source="given"),
        password="planted-password",
        keys={"OPENAI_API_KEY": "planted-key"},
    )
    assert "planted" not in repr(said)


def test_a_short_password_is_refused_before_anything_is_built():
    assert setup_plan.password_problem("1234567") == "at least 8 characters"
    assert setup_plan.password_problem("12345678") == ""
