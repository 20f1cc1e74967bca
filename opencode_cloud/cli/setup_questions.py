"""The questions of `occ setup`, on a terminal."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import questionary

from opencode_cloud.environment import refusal
from opencode_cloud.image_settings import ImageSource
from opencode_cloud.ops import setup_plan
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.host import Host
from opencode_cloud.ops.mounts import Danger
from opencode_cloud.ops.setup_plan import Person, password_problem
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.setting_types import Tls
from opencode_cloud.settings import Settings
from opencode_cloud.spec.mounts import MountError, parse_mounts
from opencode_cloud.start.options import DEFAULT_USER, is_user_name
from opencode_cloud.start.steps.first_user import generate_password

_OTHER = "another"


@dataclass
class Interview:
    """Asks for what no option has said; what the stack's file says is offered."""

    host: Host
    stack: str
    document: Document
    given: Mapping[str, str]
    """Answers that options gave."""
    answers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.answers = {**setup_plan.proposals(self.document), **self.given}

    @property
    def _mark(self) -> str:
        # On every screen: which deployment this is about.
        return f"[{self.stack} on {self.host.name}]"

    def settings(self) -> dict[str, str]:
        """Ask for the settings."""
        self._image()
        self._address()
        self._port()
        self._mounts()
        if "restart_policy" not in self.given:
            self._choose(
                "restart_policy", "Restart it when it ends, or the machine did", setup_plan.RESTARTS
            )
        return self.answers

    def person(self, users: list[str], name: str | None) -> tuple[Person, str | None]:
        """Ask who gets a login, and for the password."""
        if users and not name:
            _tell(f"Can log in already: {', '.join(users)}. `occ user` changes that.")
            return Person(name=", ".join(users), source="kept"), None
        name = name or self._text("First user", DEFAULT_USER, _user_problem)
        choices = {
            "generated": "made, and shown once at the end",
            "given": "typed now",
        }
        source = self._select(f"Password of {name}", choices, "generated")
        if source == "generated":
            return Person(name=name, source=source), generate_password()
        return Person(name=name, source=source), self._password(name)

    def keys(self) -> dict[str, str]:
        """Ask for API keys; none is fine."""
        _tell("API keys may be skipped, and given later: in opencode itself, or by `occ secret`.")
        found: dict[str, str] = {}
        while name := self._text("Name of a key (empty: go on)", "", _key_problem):
            found[name] = self._hidden(
                f"Value of {name}", lambda value: "" if value else "is empty"
            )
        return found

    def agrees(self, question: str, *, default: bool = False) -> bool:
        """Ask for a yes."""
        return questionary.confirm(question, default=default, qmark=self._mark).unsafe_ask()

    def _image(self) -> None:
        if "image_source" not in self.given and "prebuilt_image" not in self.given:
            _tell(setup_plan.TRADE_OFF)
            self._choose("image_source", "The image", setup_plan.IMAGE_SOURCES)
        elif "image_source" not in self.given:
            self.answers["image_source"] = ImageSource.PREBUILT.value
        if (
            self.answers["image_source"] == ImageSource.PREBUILT
            and "prebuilt_image" not in self.given
        ):
            self._ask("prebuilt_image", "Which one (REPOSITORY@sha256:DIGEST)")

    def _address(self) -> None:
        if "bind_address" not in self.given:
            known = {**setup_plan.ADDRESSES, _OTHER: "an address that you type"}
            now = self.answers["bind_address"]
            _tell(
                "On 127.0.0.1 others reach it by a tunnel alone (ssh -L), and nobody else sees it."
            )
            chosen = self._select("Answer at", known, now if now in known else _OTHER)
            self.answers["bind_address"] = now if chosen == _OTHER else chosen
            # Whether it may be reached is asked next.
            self.answers["allow_network_exposure"] = "true"
            if chosen == _OTHER:
                self._ask("bind_address", "Address")
            self.answers["allow_network_exposure"] = self.given.get("allow_network_exposure", "")
        if not self._exposed():
            self.answers["allow_network_exposure"] = "false"
            return
        if "tls" not in self.given:
            self._encryption()
        self.answers["allow_network_exposure"] = self.given.get("allow_network_exposure", "false")
        if self.answers["allow_network_exposure"] == "true":
            return
        words = "Other machines can then reach the login page"
        if self.answers["tls"] == Tls.OFF:
            words += ", and the connection is NOT ENCRYPTED: passwords can be read on the way"
        if not self.agrees(f"{words}. Is that what you want?"):
            _tell(f"Kept to {self.host.machine.name} alone: 127.0.0.1.")
            self.answers |= {"bind_address": "127.0.0.1", "tls": Tls.OFF.value}
        else:
            self.answers["allow_network_exposure"] = "true"

    def _encryption(self) -> None:
        now = self.answers["tls"]
        known = setup_plan.ENCRYPTION
        default = now if now in known else "domain"
        if now == Tls.OFF and "tls" not in self.document.values:
            default = Tls.INTERNAL.value
        chosen = self._select("Encryption", known, default)
        if chosen != "domain":
            self.answers["tls"] = chosen
            return
        self.answers["allow_network_exposure"] = "true"
        self._ask("tls", "Domain", "" if now in set(Tls) else now)

    def _exposed(self) -> bool:
        raw = {"bind_address": self.answers["bind_address"], "allow_network_exposure": True}
        return Settings.model_validate(raw | {"image_source": "build"}).exposed

    def _port(self) -> None:
        if "port" in self.given:
            return
        address, port = self.answers["bind_address"], int(self.answers["port"])
        if owner := self.host.port_owner(address, port):
            free = self.host.next_free_port(address, port)
            _tell(f"Port {port} is in use by {owner}. The next free one: {free}.")
            self.answers["port"] = str(free or port)
        self._ask("port", "Port", more=self._port_problem)

    def _port_problem(self, text: str) -> str:
        address = self.answers["bind_address"]
        owner = self.host.port_owner(address, int(text))
        if not owner:
            return ""
        return f"is in use by {owner}; free is {self.host.next_free_port(address, int(text))}"

    def _mounts(self) -> None:
        if "mounts" in self.given:
            looked = self.host.look_at(parse_mounts(self.given["mounts"]))
            if not all(self._braves(danger) for danger in looked.dangers):
                raise OperationError("Nothing was changed.")
            return
        _tell(
            f"Folders of {self.host.name} for the agent to work in may be skipped, and added later "
            "by `occ mount`. Written /host:/container, with :ro for read-only and commas between."
        )
        now = self.answers["mounts"]
        question = "Folders (empty: none)"
        while True:
            text = self._text(question, now, self._mounts_problem)
            looked = self.host.look_at(parse_mounts(text))
            if all(self._braves(danger) for danger in looked.dangers):
                self.answers["mounts"] = text
                return

    def _braves(self, danger: Danger) -> bool:
        return self.agrees(f"{danger}. Mount it all the same?")

    def _mounts_problem(self, text: str) -> str:
        try:
            looked = self.host.look_at(parse_mounts(text))
        except MountError as error:
            return str(error)
        return "; ".join(f"{each.value} {each.why}: {each.fix}" for each in looked.problems)

    def _password(self, name: str) -> str:
        while True:
            first = self._hidden(f"Password for {name}", password_problem)
            if self._hidden("The same again", lambda _: "") == first:
                return first
            _tell("The two differ. Once more:")

    # --- how a question looks -----------------------------------------------

    def _ask(
        self,
        name: str,
        question: str,
        default: str | None = None,
        more: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Ask for a setting until it can be used."""

        def problem(text: str) -> str:
            answers = {**self.answers, name: text}
            why = setup_plan.problem(self.document, self.stack, answers, name)
            return why or more(text)

        shown = self.answers[name] if default is None else default
        self.answers[name] = self._text(question, shown, problem)

    def _choose(self, name: str, question: str, known: Mapping[str, str]) -> None:
        now = self.answers[name]
        self.answers[name] = self._select(question, {**known, now: known.get(now, "as now")}, now)

    def _select(self, question: str, known: Mapping[str, str], default: str) -> str:
        choices = [questionary.Choice(f"{key}: {words}", key) for key, words in known.items()]
        return questionary.select(
            question, choices, default=default, qmark=self._mark, instruction=" "
        ).unsafe_ask()

    def _text(self, question: str, default: str, problem: Callable[[str], str]) -> str:
        return (
            questionary.text(
                f"{question}:",
                default=default,
                validate=_valid(problem),
                qmark=self._mark,
                # Another machine may have to be asked, which each key should not wait for.
                validate_while_typing=False,
            )
            .unsafe_ask()
            .strip()
        )

    def _hidden(self, question: str, problem: Callable[[str], str]) -> str:
        return questionary.password(
            f"{question}:", validate=_valid(problem, strip=False), qmark=self._mark
        ).unsafe_ask()


def _tell(text: str) -> None:
    print(textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  "))


def _valid(problem: Callable[[str], str], *, strip: bool = True) -> Callable[[str], bool | str]:
    return lambda text: problem(text.strip() if strip else text) or True


def _user_problem(text: str) -> str:
    if is_user_name(text):
        return ""
    return "up to 32 of a-z, 0-9, _ and -, with a letter first"


def _key_problem(text: str) -> str:
    return refusal(text) if text else ""
