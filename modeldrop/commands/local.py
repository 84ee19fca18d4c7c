"""Starting, stopping and using a local cloud: doors to ``python -m localcloud`` and ``python -m demo``."""

from __future__ import annotations

import os
import sys

import click

from localcloud.running import NotOneRunning, choose

# Options and arguments are those of the other command, which explains them itself.
PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
NEEDS_LOCAL_CLOUD = "This needs the packages of the local cloud: pip install 'modeldrop[local]' ({error})."
NEEDS_SOURCE = "The demo is not part of the installed package: run it in the source of Modeldrop."


def _local_cloud(arguments: list[str]) -> None:
    try:
        from localcloud.__main__ import main
    except ModuleNotFoundError as error:
        raise click.ClickException(NEEDS_LOCAL_CLOUD.format(error=error)) from error
    sys.exit(main(arguments, program="modeldrop"))


@click.command(context_settings=PASSED_ON)
@click.pass_context
def start(context: click.Context) -> None:
    """Start a local cloud, and run until stopped."""
    _local_cloud(["start", *context.args])


@click.command(context_settings=PASSED_ON)
@click.pass_context
def stop(context: click.Context) -> None:
    """Stop a local cloud."""
    _local_cloud(["stop", *context.args])


@click.command(context_settings=PASSED_ON)
@click.pass_context
def env(context: click.Context) -> None:
    """Print the variables of a local cloud, for eval."""
    _local_cloud(["env", *context.args])


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("--port", type=int, help="The port of its services, if several local clouds run.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(port: int | None, command: tuple[str, ...]) -> None:
    r"""Run COMMAND with the variables of a local cloud, and exit with its exit code.

    \b
    Example:
      modeldrop exec -- bq ls
    """
    try:
        cloud = choose(port, of_this_shell=False)
    except NotOneRunning as error:
        raise click.ClickException(str(error)) from error
    try:
        os.execvpe(command[0], command, {**os.environ, **cloud.environment})
    except OSError as error:
        raise click.ClickException(f"{command[0]} cannot be run: {error.strerror}.") from error


@click.command(context_settings=PASSED_ON)
@click.pass_context
def demo(context: click.Context) -> None:
    """Show the whole story on a local cloud of its own."""
    try:
        from demo.__main__ import main
    except ModuleNotFoundError as error:
        missing = NEEDS_SOURCE if error.name == "demo" else NEEDS_LOCAL_CLOUD.format(error=error)
        raise click.ClickException(missing) from error
    sys.exit(main(context.args, program="modeldrop demo"))
