"""Every command, put together."""

from collections.abc import Sequence

from opencode_cloud.cli import (
    assembly,
    attach,
    backup,
    browser,
    config,
    cost,
    doctor,
    env,
    host,
    install,
    lifecycle,
    logs,
    mount,
    secret,
    setup,
    shell,
    status,
    uninstall,
    update,
    user,
    version,
)

app = assembly.assemble(
    (
        setup,
        status,
        lifecycle,
        logs,
        browser,
        attach,
        user,
        shell,
        update,
        backup,
        mount,
        env,
        secret,
        config,
        cost,
        host,
        doctor,
        install,
        uninstall,
        version,
    )
)


def call(arguments: Sequence[str], name: str) -> int:
    """Run the command that `arguments` say; gives its exit code."""
    return assembly.call(app, arguments, name)
