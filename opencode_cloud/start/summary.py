"""What ``./start`` says when opencode runs."""

from opencode_cloud.start.plan import Context
from opencode_cloud.start.screen import Screen

_WIDTH = 10


def show(context: Context, screen: Screen, seconds: float) -> None:
    """Print where opencode is, who can log in, what was done, and how to undo it."""
    stack = context.options.stack
    password = context.generated_password
    screen.say()
    screen.say(f"opencode runs. This took {seconds:.0f} s.")
    screen.say()
    _row(screen, "URL", screen.bold(context.outputs["url"]))
    if context.fingerprint:
        _row(screen, "SHA-256", context.fingerprint)
        _row(screen, "", "of its certificate: compare it when the browser warns")
    _row(screen, "User", ", ".join(context.users))
    if password:
        _row(screen, "Password", f"{screen.bold(password)}   shown only now; keep it")
        _row(screen, "", "(./start --new-password makes another)")
    screen.say()
    if not context.changes:
        screen.say("Nothing had to be changed.")
    else:
        screen.say("Done to this machine, and kept in " + f"{context.paths.changes}:")
        for change in context.changes:
            screen.say(f"  - {change}")
    screen.say()
    option = "" if stack == "local" else f" --host {stack}"
    _row(screen, "Look", f"./occ{option} status   (--help shows what else it does)")
    _row(screen, "Stop", f"./occ{option} stop   (./start starts it again)")
    _row(screen, "Pulumi", f'eval "$(./start --print-env)"; pulumi preview -s {stack}')
    _row(screen, "Remove", f"the same, and pulumi destroy -s {stack}   (keeps users and sessions,")
    _row(screen, "", f"in the volumes {context.container}-*)")
    _row(screen, "Log", str(context.paths.log))


def _row(screen: Screen, name: str, value: str) -> None:
    screen.say(f"  {name:<{_WIDTH}}{value}")
