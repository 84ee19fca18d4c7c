"""Runs the demo: ``python -m demo``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from google.api_core.exceptions import GoogleAPIError

from demo.stage import Stage
from localcloud.config import CloudConfig

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

LINES_SHOWN = 20
INTERRUPTED = 130
"""The exit code that shells give to a program that Ctrl-C stopped."""


def main(arguments: Sequence[str] | None = None, program: str = "python -m demo") -> int:
    """Run the demo and return the exit code: 0 only if every step succeeded."""
    argparse.ArgumentParser(prog=program, description="Run the demo in a local cloud.").parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with _separate_standard_error() as (errors, others):
        stage = Stage(errors)
        try:
            with _local_cloud(stage) as cloud:
                _show_story(stage, cloud.environment())
        except KeyboardInterrupt:
            stage.fail("Stopped.")
            return INTERRUPTED
        # Failures of a service, the network or this machine. Any other exception is a bug and shows its traceback.
        except (GoogleAPIError, OSError, RuntimeError, ValueError) as error:
            stage.fail(f"The demo stops here. {error}")
            stage.fail(_last_lines(others))
            return 1
        return 0


@contextlib.contextmanager
def _separate_standard_error() -> Iterator[tuple[TextIO, TextIO]]:
    """Yield standard error for the demo alone, and a file with everything else that is written to it.

    TensorFlow and gRPC do not write through Python's streams; their lines would be in the middle of the story.
    """
    with os.fdopen(os.dup(2), "w") as errors, tempfile.TemporaryFile("w+", errors="replace") as others:
        os.dup2(others.fileno(), 2)
        try:
            yield errors, others
        finally:
            sys.stderr.flush()
            os.dup2(errors.fileno(), 2)


def _last_lines(others: TextIO) -> str:
    sys.stderr.flush()
    others.seek(0)
    return "".join(others.readlines()[-LINES_SHOWN:])


@contextlib.contextmanager
def _local_cloud(stage: Stage) -> Iterator[LocalCloud]:
    stage.heading("0. A cloud on this machine")
    with stage.working("Every service and function starts"):
        # This takes seconds to import; the first lines are on the screen by then.
        from localcloud.cloud import LocalCloud

        cloud = LocalCloud(CloudConfig(gemini_backend=os.environ.get("GEMINI_BACKEND") or "echo"))
        cloud.start()
    try:
        _show_addresses(stage, cloud)
        yield cloud
    finally:
        # Stopping takes a moment; a second Ctrl-C would interrupt the cleanup.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cloud.stop()


def _show_addresses(stage: Stage, cloud: LocalCloud) -> None:
    description = cloud.describe()
    services = {name: f"http://{address.removeprefix('http://')}" for name, address in description["services"].items()}
    functions = {name: function["url"] for name, function in description["functions"].items()}
    stage.say(f"{len(services)} services and {len(functions)} functions, each in its own functions-framework process:")
    stage.table(["service", "at"], services.items())
    stage.table(["function", "at"], functions.items())


def _show_story(stage: Stage, environment: dict[str, str]) -> None:
    # Google's client libraries take seconds to import.
    from demo.story import show, show_real_project
    from demo.world import World

    world = World(environment)
    try:
        show(stage, world)
    finally:
        world.close()
    show_real_project(stage)
    stage.heading(f"All of this happened, in {stage.seconds:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
