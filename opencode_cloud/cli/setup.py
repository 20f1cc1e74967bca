"""`occ setup`: from nothing, or from what is there, to a deployment that answers."""

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops.errors import EngineError, NoDeploymentError, OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.deployment import Deployment
    from opencode_cloud.ops.host import Host
    from opencode_cloud.ops.setup_plan import Person, Plan, Said
    from opencode_cloud.ops.stack_document import Document
    from opencode_cloud.settings import Settings
    from opencode_cloud.start.plan import Context

_NOTHING = "Nothing was changed."


@dataclass(frozen=True, kw_only=True)
class Given:
    """What options said; all else is asked, or as it was."""

    answers: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    password_stdin: bool = False
    generate: bool = False
    keys: dict[str, str] = field(default_factory=dict, repr=False)


def setup(
    context: typer.Context,
    *,
    image_source: Annotated[
        str | None,
        typer.Option(metavar="build|prebuilt", help="Build the image there, or pull one."),
    ] = None,
    prebuilt_image: Annotated[
        str | None,
        typer.Option(metavar="REPOSITORY@DIGEST", help="The image to pull, by its digest."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the machine to answer at.")] = None,
    bind_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of the machine to answer at.")
    ] = None,
    allow_network_exposure: Annotated[
        bool, typer.Option("--allow-network-exposure", help="Other machines may reach it.")
    ] = False,
    tls: Annotated[
        str | None, typer.Option(metavar="off|internal|sslip|DOMAIN", help="Who encrypts.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="The first user.")] = None,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input, one line."),
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a password, and print it once.")
    ] = False,
    mount: Annotated[
        list[str] | None,
        typer.Option(metavar="/HOST:/CONTAINER[:ro]", help="A folder to mount; may be repeated."),
    ] = None,
    api_key_file: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="An API key, from a file; may be repeated."),
    ] = None,
    restart_policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="unless-stopped, always, no or on-failure:TIMES: when to restart.",
        ),
    ] = None,
) -> None:
    """Set a deployment up: asks what it is to be, shows what it will do, and does it.

    What options say is not asked. Run again, it offers the answers of before, and goes on
    where it was stopped. With --yes nothing is asked at all. Of a stack on a host over SSH, it is
    that host's ports, folders, users, Docker, disk and memory that are looked at.
    """
    options = options_of(context)
    refuse_json(options, "setup")
    _require_no_rent(options)
    if password_stdin and generate:
        raise typer.BadParameter(
            "--password-stdin gives a password and --generate makes one: use one of the two."
        )
    said = {
        "image_source": image_source,
        "prebuilt_image": prebuilt_image,
        "port": None if port is None else str(port),
        "bind_address": bind_address,
        "allow_network_exposure": "true" if allow_network_exposure else None,
        "tls": tls,
        "mounts": None if mount is None else ",".join(mount),
        "restart_policy": restart_policy,
    }
    answers = {name: value for name, value in said.items() if value is not None}
    if prebuilt_image and not image_source:
        answers["image_source"] = "prebuilt"
    run(
        options,
        Given(
            answers=answers,
            user=user,
            password_stdin=password_stdin,
            generate=generate,
            keys=dict(_key(text) for text in api_key_file or ()),
        ),
    )


def run(options: Options, given: Given) -> None:
    """Ask, show, and do.

    Raises:
        OpencodeCloudError: it cannot be done; says what is in the way.
        KeyboardInterrupt: with words on what was changed, and how to go on.
    """
    from opencode_cloud.ops import project, setup_work
    from opencode_cloud.ops.host import Host
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.start.errors import StartError
    from opencode_cloud.start.options import is_user_name
    from opencode_cloud.start.screen import Screen

    asks = options.can_ask and not options.yes
    if not asks and not options.yes:
        raise OperationError(_nobody_to_ask(options, given))
    if given.user and not is_user_name(given.user):
        raise OperationError(f"{given.user!r} cannot be a user name: a-z, 0-9, _ and -.")
    paths = project.paths()
    out = Path(os.devnull).open("w") if options.quiet else sys.stdout  # noqa: SIM115 - ends with us
    screen = Screen(out, color=options.color)
    context = setup_work.context_of(options.docker_host(), paths, screen, verbose=options.verbose)
    file = StackFile(paths.root, options.host)
    try:
        setup_work.check_machine(context)
    except StartError as error:
        raise OperationError(str(error).replace("./start", options.occ("setup"))) from None
    host = Host(context, _deployment(options))
    document = setup_work.document_of(file)
    said = _asked(options, given, host, document) if asks else _taken(given, host, document)
    wanted = _checked(options, host, document, said, given)
    plan = _plan(context, host, document, wanted, said)
    _show(options, plan)
    if asks:
        _confirm(options, host, document)
    seconds = setup_work.work(
        context,
        file,
        wanted,
        said.person,
        password=said.password,
        keys=said.keys,
        screen=screen,
        what=options.occ("setup"),
    )
    _close(options, context, host, said, seconds)


def _require_no_rent(options: Options) -> None:
    from opencode_cloud.ops import project
    from opencode_cloud.ops.docker_host import rents

    if rents(options.host, project.folder()):
        raise OperationError(
            f"The stack {options.host!r} rents a machine of its own, and Pulumi makes that: "
            f"{project.setup_command(options.host)}. docs/deploy has the settings that it needs."
        )


def offer(options: Options, error: NoDeploymentError) -> None:
    """Where a command finds no deployment: set one up, if somebody is there and says so.

    Raises:
        NoDeploymentError: nobody is there, or it is not wanted.
    """
    from opencode_cloud.cli.asking import agrees

    if not options.can_ask or options.json or not sys.stdout.isatty():
        raise error
    print(error, file=sys.stderr)
    if not agrees(f"Set {options.host!r} up now? [y/N]"):
        raise OperationError(f"{_NOTHING} To set it up later: {options.occ('setup')}")
    run(options, Given())


def _nobody_to_ask(options: Options, given: Given) -> str:
    from opencode_cloud.ops import setup_plan

    # What was said is said again, but for what was read from standard input and files.
    user = [f"--user {given.user}"] if given.user else []
    password = "--password-stdin < FILE" if given.password_stdin else "--generate"
    command = setup_plan.command(options.occ("setup"), given.answers, [*user, password])
    return (
        f"There is nobody to ask. Say that the defaults are right where nothing is said: {command}"
    )


def _deployment(options: Options) -> "Deployment | None":
    try:
        return options.deployment()
    except (NoDeploymentError, EngineError):
        return None


def _asked(options: Options, given: Given, host: "Host", document: "Document") -> "Said":
    if not options.color:
        # What asks knows no other way to be told.
        os.environ["NO_COLOR"] = "1"
    # Whether the terminal can tell where its cursor is makes no difference here.
    os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
    from opencode_cloud.cli.setup_questions import Interview
    from opencode_cloud.ops.setup_plan import Said

    interview = Interview(host, options.host, document, given.answers)
    print(f"Setting up opencode on {host.name}, as the stack {options.host!r}.")
    print("Ctrl-C leaves without having changed anything.")
    with _left_alone():
        answers = interview.settings()
        person, password = _person(given) or interview.person(host.users(), given.user)
        keys = given.keys or interview.keys()
    return Said(answers=answers, person=person, password=password, keys=keys)


def _taken(given: Given, host: "Host", document: "Document") -> "Said":
    """Take what options say, and for the rest what it was, or the default."""
    from opencode_cloud.ops.setup_plan import Person, Said, proposals
    from opencode_cloud.start.options import DEFAULT_USER

    answers = {**proposals(document), **given.answers}
    if found := _person(given):
        return Said(answers=answers, person=found[0], password=found[1], keys=given.keys)
    users = host.users()
    person = Person(name=given.user or DEFAULT_USER, source="made")
    if users and given.user in (None, *users):
        person = Person(name=", ".join(users), source="kept")
    return Said(answers=answers, person=person, password=None, keys=given.keys)


def _person(given: Given) -> "tuple[Person, str] | None":
    """Give who gets the password that options say; ``None`` when they say none."""
    from opencode_cloud.ops.setup_plan import Person, password_problem
    from opencode_cloud.start.options import DEFAULT_USER
    from opencode_cloud.start.steps.first_user import generate_password

    name = given.user or DEFAULT_USER
    if given.generate:
        return Person(name=name, source="generated"), generate_password()
    if not given.password_stdin:
        return None
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {name}: ")
    else:
        password = sys.stdin.readline().removesuffix("\n")
    if why := password_problem(password):
        raise OperationError(f"The password on standard input cannot be used: {why}. {_NOTHING}")
    return Person(name=name, source="given"), password


def _checked(
    options: Options, host: "Host", document: "Document", said: "Said", given: Given
) -> "Document":
    """Give the file that the answers make, where nothing of the machine is in the way."""
    from opencode_cloud.configuration import load
    from opencode_cloud.ops import setup_plan

    wanted = setup_plan.written(document, options.host, said.answers)
    settings = load(wanted.values, options.host)
    for port, flag in ((settings.port, "--port"), (settings.redirect_port, "")):
        owner = host.port_owner(settings.bind_address, port) if port else ""
        if owner:
            free = host.next_free_port(settings.bind_address, port)
            again = {**given.answers, "port": str(free)} if flag else given.answers
            command = setup_plan.command(options.occ("setup"), again)
            instead = f" The next free one: {command}" if flag else ""
            of = f" of {host.machine.name}" if host.machine.is_remote else ""
            raise OperationError(f"Port {port}{of} is in use by {owner}.{instead}")
    looked = host.look_at(settings.bind_mounts)
    if looked.problems:
        raise OperationError("\n".join(map(str, looked.problems)))
    _check_room(options, host, settings)
    return wanted


def _check_room(options: Options, host: "Host", settings: "Settings") -> None:
    """Refuse what cannot fit, and say what may not."""
    from opencode_cloud.ops.doctor_checks.finding import PROBLEM

    for found in host.shortages(settings):
        said = f"{host.name} has {found.what}. {found.why}"
        if found.outcome == PROBLEM:
            raise OperationError(f"{said} There, this helps: {found.mend}")
        options.say(f"  {said}")


def _plan(
    context: "Context", host: "Host", document: "Document", wanted: "Document", said: "Said"
) -> "Plan":
    from opencode_cloud.configuration import SettingsError, load
    from opencode_cloud.image_settings import ImageSource
    from opencode_cloud.ops import setup_plan, setup_work
    from opencode_cloud.ops.impact import impact

    stack = context.options.stack
    settings = load(wanted.values, stack)
    replaces = ""
    if host.deployment:
        try:
            replaces = " ".join(impact(load(document.values, stack), settings).meaning)
        except SettingsError:
            replaces = "what runs is made what the settings say"
    return setup_plan.Plan(
        stack=stack,
        where=host.name,
        file=str(context.paths.stack_file(stack)),
        settings=settings,
        person=said.person,
        keys=tuple(said.keys),
        missing=setup_work.missing(context, builds=settings.image_source is ImageSource.BUILD),
        replaces=replaces,
    )


def _show(options: Options, plan: "Plan") -> None:
    options.say(f"\nThis will be done on {plan.where}, for the stack {plan.stack!r}:")
    for name, words in plan.lines:
        options.say(f"  {name:<12}{words}")
    options.say("")


def _confirm(options: Options, host: "Host", document: "Document") -> None:
    from opencode_cloud.cli.setup_questions import Interview

    with _left_alone():
        if not Interview(host, options.host, document, {}).agrees("Do it?", default=True):
            raise OperationError(_NOTHING)


def _close(
    options: Options, context: "Context", host: "Host", said: "Said", seconds: float
) -> None:
    """Say where opencode is, and who can log in."""
    generated = context.generated_password
    if said.person.source == "generated":
        generated = said.password
    if options.quiet:
        if generated:
            print(generated)
        return
    rows = [
        ("URL", context.outputs["url"]),
        ("", _tunnel(host, context.outputs["url"])),
        ("SHA-256", context.fingerprint and f"{context.fingerprint}  (of its certificate)"),
        ("User", ", ".join(context.users)),
        ("Password", generated and f"{generated}   shown only now; keep it"),
        ("Look", options.occ("status")),
        ("Open", options.occ("open")),
        ("Change", f"{options.occ('config', 'set', 'KEY', 'VALUE')}, or {options.occ('setup')}"),
        ("Stop", options.occ("stop")),
    ]
    print(f"\nopencode runs on {host.name}, as the stack {options.host!r} ({seconds:.0f} s).\n")
    for name, value in rows:
        if value:
            print(f"  {name:<10}{value}")


def _tunnel(host: "Host", url: str) -> str:
    """Say how an address is reached that another machine has for itself alone; else empty."""
    from urllib.parse import urlsplit

    from opencode_cloud.ops.deployment import is_loopback
    from opencode_cloud.spec.ssh import Forward, tunnel_command

    where, ssh = urlsplit(url), host.machine.ssh
    if not (ssh and where.hostname and where.port and is_loopback(where.hostname)):
        return ""
    forward = Forward(local_port=where.port, address=where.hostname, port=where.port)
    way = tunnel_command(ssh.address, forward)
    return f"on {ssh.name} alone; from here by Open, or: {way}"


@contextmanager
def _left_alone() -> Iterator[None]:
    """Say that nothing was changed, when whoever is asked leaves."""
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        raise KeyboardInterrupt(_NOTHING) from None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ setup",
            "occ setup --yes",
            "occ --host second setup --port 4097",
            "occ setup --yes --user ada --password-stdin < password.txt",
            "occ setup --bind-address 0.0.0.0 --allow-network-exposure --tls internal",
        )
    )(setup)


def _key(text: str) -> tuple[str, str]:
    """Read an API key from the file that ``NAME=PATH`` names."""
    from opencode_cloud.environment import refusal, value_refusal
    from opencode_cloud.ops.secrets import read

    name, _, path = text.partition("=")
    if not path:
        raise typer.BadParameter(f"{text!r} is not NAME=PATH.", param_hint="--api-key-file")
    if why := refusal(name):
        raise typer.BadParameter(f"{name} {why}.", param_hint="--api-key-file")
    value = read(Path(path))
    if why := value_refusal(value) or ("" if value else "is empty"):
        raise OperationError(f"{path} {why}. {_NOTHING}")
    return name, value
