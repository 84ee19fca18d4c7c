"""`make demo`: starts the local cloud and the functions, and tells the whole story with what really happened.

Whatever the story does, it does through official clients and plain HTTP; nothing reaches into the local cloud.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from google.api_core.exceptions import GoogleAPIError

from demo.stage import Stage
from localcloud.config import CloudConfig

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

LINES_SHOWN = 20
INTERRUPTED = 130  # what a shell tells of Ctrl-C


def run() -> int:
    """Tell the story and return the exit code: 0 only if every step of it happened."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with _own_standard_error() as (errors, others):
        stage = Stage(errors)
        try:
            with _local_cloud(stage) as cloud:
                _tell(stage, cloud.environment())
        except KeyboardInterrupt:
            stage.fail("Stopped.")
            return INTERRUPTED
        # Whatever a service, a network or this machine may refuse; anything else is a bug and shows where.
        except (GoogleAPIError, OSError, RuntimeError, ValueError) as error:
            stage.fail(f"The story ends here. {error}")
            stage.fail(_last_lines(others))
            return 1
        return 0


@contextlib.contextmanager
def _own_standard_error() -> Iterator[tuple[TextIO, TextIO]]:
    """Yield standard error for the story alone, and a file with what everyone else writes there.

    TensorFlow and gRPC write past Python's own streams, into the middle of what is told.
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
        from localcloud.cloud import LocalCloud

        cloud = LocalCloud(CloudConfig(gemini_backend=os.environ.get("GEMINI_BACKEND") or "echo"))
        cloud.start()
    try:
        _tell_addresses(stage, cloud)
        yield cloud
    finally:
        # It stops in a moment; a second Ctrl-C would only leave things behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cloud.stop()


def _tell_addresses(stage: Stage, cloud: LocalCloud) -> None:
    description = cloud.describe()
    services = {name: f"http://{address.removeprefix('http://')}" for name, address in description["services"].items()}
    functions = {name: function["url"] for name, function in description["functions"].items()}
    stage.say(
        f"{len(services)} services and {len(functions)} functions, each of them a process of functions-framework:"
    )
    stage.table(["service", "at"], services.items())
    stage.table(["function", "at"], functions.items())


def _tell(stage: Stage, environment: dict[str, str]) -> None:
    from demo.story import tell, tell_real_project
    from demo.world import World

    world = World(environment)
    try:
        tell(stage, world)
    finally:
        world.close()
    tell_real_project(stage)
    stage.heading(f"All of this happened, in {stage.seconds:.0f} s.")
