"""Google Cloud on one machine.

python -m localcloud start    start every service and the functions, and run until stopped
python -m localcloud env      print the variables of a running local cloud, for `eval`
python -m localcloud stop     stop a running local cloud
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from localcloud.base.clock import monotonic
from localcloud.base.ending import ended_in_time
from localcloud.base.http import HOST
from localcloud.config import (
    DEFAULT_LOCATION,
    DEFAULT_PROJECT,
    REPOSITORY,
    CloudConfig,
)
from localcloud.running import URL_VARIABLE, NotOneRunning, StateFile, choose, new_logs, remember_logs, running

PROGRAM = "python -m localcloud"
# Those of the emulators in the Google Cloud SDK and of bigquery-emulator, where these have one.
HTTP_PORT, PUBSUB_PORT, BIGQUERY_PORT = 8080, 8085, 9050
ANOTHER = "another one, which is printed, if it is taken; 0: a free one"
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
        type=_port,
        help=f"port of all services but BigQuery and Pub/Sub's gRPC API (default: {HTTP_PORT}, or {ANOTHER})",
    )
    start.add_argument(
        "--pubsub-port", type=_port, help=f"port of Pub/Sub's gRPC API (default: {PUBSUB_PORT}, likewise)"
    )
    start.add_argument("--bigquery-port", type=_port, help=f"port of BigQuery (default: {BIGQUERY_PORT}, likewise)")
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
    start.add_argument(
        "--retry-tests",
        action="store_true",
        help="let calls of Cloud Storage fail as the retry-test API says (docs/storage.md)",
    )
    start.add_argument("--record", type=Path, help="record every request and response in this folder")
    start.set_defaults(run=_start)

    env = commands.add_parser("env", help="print the variables of a running local cloud")
    env.set_defaults(run=_print_environment)
    stop = commands.add_parser("stop", help="stop a running local cloud")
    stop.set_defaults(run=_stop)
    for command in (env, stop):
        command.add_argument("--port", type=int, help="the port of its services, if several local clouds run")
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
        http_port=_port_or_default(options.port, HTTP_PORT),
        bigquery_port=_port_or_default(options.bigquery_port, BIGQUERY_PORT),
        pubsub_port=_port_or_default(options.pubsub_port, PUBSUB_PORT),
        host_names=tuple(options.host_name),
        data_dir=options.data_dir,
        logs=None if options.data_dir is not None else new_logs(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"),
        source=options.source,
        declaration=options.declaration or options.source / "deploy" / "functions.yaml",
        with_functions=not options.no_functions,
        gemini_backend=os.environ.get("GEMINI_BACKEND") or "echo",
        gemini_echo=os.environ.get("GEMINI_ECHO") or "",
        gemini_models=Path(os.environ["GEMINI_MODELS"]) if os.environ.get("GEMINI_MODELS") else None,
        function_environment=dict(options.set),
        record_to=options.record,
        with_retry_tests=options.retry_tests,
    )
    logs = config.logs or options.data_dir / "logs"
    remember_logs(logs)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        cloud = LocalCloud(config)
        cloud.start()
    except (DeclarationError, FunctionStartError, OSError, RuntimeError, ValueError) as error:
        print(f"The local cloud did not start: {error}", file=sys.stderr)
        return 1
    try:
        state_file = StateFile(cloud.environment(), logs)
    except OSError as error:
        cloud.stop()
        print(f"The local cloud did not start: {error}", file=sys.stderr)
        return 1
    environment = state_file.environment
    try:
        _report_other_ports(options, config, environment)
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
        _remove_env_file(options.env_file, export_lines(environment))
        with ended_in_time():
            cloud.stop()
        state_file.delete()
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _port_or_default(given: int | None, default: int) -> int:
    """Return the port that was given, or else the default one, or 0 if that is taken."""
    if given is not None:
        return given
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, default))
        except OSError:
            return 0
    return default


def _report_other_ports(options: argparse.Namespace, config: CloudConfig, environment: Mapping[str, str]) -> None:
    """Print which default ports were taken, and what has another one therefore."""
    for given, default, chosen, variable in (
        (options.port, HTTP_PORT, config.http_port, URL_VARIABLE),
        (options.pubsub_port, PUBSUB_PORT, config.pubsub_port, "PUBSUB_EMULATOR_HOST"),
        (options.bigquery_port, BIGQUERY_PORT, config.bigquery_port, "BIGQUERY_EMULATOR_HOST"),
    ):
        if given is None and not chosen:
            print(f"The default port {default} is taken; {variable} is {environment[variable]}.")


def _remove_env_file(file: Path | None, lines: str) -> None:
    """Delete the file with the variables, unless another local cloud has written it since."""
    if file is not None:
        with suppress(OSError):
            if file.is_file() and file.read_text(encoding="utf-8") == lines:
                file.unlink()


def _print_environment(options: argparse.Namespace) -> int:
    from localcloud.environment import export_lines

    try:
        cloud = choose(options.port, of_this_shell=False)
    except NotOneRunning as error:
        print(error, file=sys.stderr)
        return 1
    print(export_lines(cloud.environment), end="")
    return 0


def _stop(options: argparse.Namespace) -> int:
    try:
        cloud = choose(options.port)
    except NotOneRunning as error:
        print(error, file=sys.stderr)
        return 1
    os.kill(cloud.pid, signal.SIGTERM)
    pause = threading.Event()
    deadline = monotonic() + STOP_TIMEOUT_SECONDS
    while cloud in running():
        if monotonic() > deadline:
            print(f"The local cloud at {cloud.url} (process {cloud.pid}) still runs.", file=sys.stderr)
            return 1
        pause.wait(0.05)
    return 0


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _write_atomically(path: Path, text: str) -> None:
    """Write ``text`` so that no reader sees an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
