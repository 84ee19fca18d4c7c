"""Google Cloud on one machine.

python -m localcloud start    start every service and the functions, and run until stopped
python -m localcloud env      print the variables of the running local cloud, for `eval`
python -m localcloud stop     stop the running local cloud
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localcloud.base.clock import monotonic
from localcloud.config import (
    DEFAULT_LOCATION,
    DEFAULT_PROJECT,
    REPOSITORY,
    CloudConfig,
)

PROGRAM = "python -m localcloud"
STATE_FILE = Path(".localcloud") / "state.json"
STOP_TIMEOUT_SECONDS = 30


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run a command and return the exit code; ``program`` is what the user typed before the arguments."""
    options = _parser(program).parse_args(arguments)
    return int(options.run(options))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Google Cloud on one machine.")
    commands = parser.add_subparsers(required=True, metavar="command")

    start = commands.add_parser("start", help="start every service and the functions, and run until stopped")
    start.add_argument("--data-dir", type=Path, help="keep data and jobs in this folder; without it nothing is kept")
    start.add_argument(
        "--env-file", type=Path, help="write `export KEY=VALUE` lines to this file once everything answers"
    )
    start.add_argument("--no-functions", action="store_true", help="start the services only")
    start.add_argument("--project", default=DEFAULT_PROJECT, help="the id of the project (%(default)s)")
    start.add_argument(
        "--location", default=DEFAULT_LOCATION, help="location of Vertex AI and Cloud Scheduler (%(default)s)"
    )
    start.add_argument(
        "--port",
        type=int,
        default=0,
        help="port of all services but BigQuery and Pub/Sub's gRPC API (default: a free one)",
    )
    start.add_argument("--bigquery-port", type=int, default=0, help="port of BigQuery (default: a free one)")
    start.add_argument("--pubsub-port", type=int, default=0, help="port of Pub/Sub's gRPC API (default: a free one)")
    start.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that requests may have in addition to those of this machine (repeatable)",
    )
    start.add_argument(
        "--source", type=Path, default=REPOSITORY, help="folder with the functions' main.py (%(default)s)"
    )
    start.add_argument(
        "--declaration", type=Path, help="declaration of the functions (default: SOURCE/deploy/functions.yaml)"
    )
    start.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="a setting of the functions"
    )
    start.add_argument("--record", type=Path, help="record every request and response in this folder")
    start.set_defaults(run=_start)

    env = commands.add_parser("env", help="print the variables of the running local cloud")
    env.set_defaults(run=_print_environment)
    stop = commands.add_parser("stop", help="stop the running local cloud")
    stop.set_defaults(run=_stop)
    return parser


def _start(options: argparse.Namespace) -> int:
    begun = monotonic()
    from declaration.reading import DeclarationError
    from localcloud.cloud import LocalCloud
    from localcloud.environment import export_lines
    from localcloud.functions.processes import FunctionStartError

    config = CloudConfig(
        project=options.project,
        location=options.location,
        http_port=options.port,
        bigquery_port=options.bigquery_port,
        pubsub_port=options.pubsub_port,
        host_names=tuple(options.host_name),
        data_dir=options.data_dir,
        source=options.source,
        declaration=options.declaration or options.source / "deploy" / "functions.yaml",
        with_functions=not options.no_functions,
        gemini_backend=os.environ.get("GEMINI_BACKEND") or "echo",
        function_environment=dict(options.set),
        record_to=options.record,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        cloud = LocalCloud(config)
        cloud.start()
    except (DeclarationError, FunctionStartError, OSError, RuntimeError, ValueError) as error:
        print(f"The local cloud did not start: {error}", file=sys.stderr)
        return 1
    state_file = _state_file()
    try:
        environment = cloud.environment()
        _write_atomically(state_file, json.dumps({"pid": os.getpid(), "environment": environment}))
        description = cloud.describe()
        for name, address in description["services"].items():
            print(f"{name:<22}{address}")
        for name, function in description["functions"].items():
            print(f"{name:<22}{function['url']}")
        print(f"The local cloud started in {monotonic() - begun:.1f} s. Press Ctrl-C to stop it.", flush=True)
        if options.env_file is not None:
            _write_atomically(options.env_file, export_lines(environment))
        stopped.wait()
    finally:
        print("Stopping the local cloud.", flush=True)
        cloud.stop()
        if (state := _running()) is not None and state[
            "pid"
        ] == os.getpid():  # otherwise the file is of a later local cloud
            state_file.unlink(missing_ok=True)
    return 0


def _print_environment(options: argparse.Namespace) -> int:
    from localcloud.environment import export_lines

    state = _running()
    if state is None:
        return _report_none()
    print(export_lines(state["environment"]), end="")
    return 0


def _stop(options: argparse.Namespace) -> int:
    state = _running()
    if state is None:
        return _report_none()
    os.kill(state["pid"], signal.SIGTERM)
    pause = threading.Event()
    deadline = monotonic() + STOP_TIMEOUT_SECONDS
    while (still := _running()) == state and monotonic() < deadline:
        pause.wait(0.05)
    return 1 if still == state else 0


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _state_file() -> Path:
    """Return the file with the process and the variables of the running local cloud."""
    return Path(os.environ.get("LOCALCLOUD_STATE", STATE_FILE))


def _running() -> dict[str, Any] | None:
    try:
        state = json.loads(_state_file().read_text(encoding="utf-8"))
    except OSError:
        return None
    return state if _runs(state["pid"]) else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _report_none() -> int:
    print(
        f"No local cloud is running, according to {_state_file()}. Start one with `python -m localcloud start`.",
        file=sys.stderr,
    )
    return 1


def _write_atomically(path: Path, text: str) -> None:
    """Write ``text`` so that no reader sees an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
