"""The command line: ``python -m deploy check|plan|apply|smoke|destroy|cloudbuild|monitoring|dead-letters``."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from declaration.limits import PROJECT_ID
from declaration.model import Declaration
from declaration.reading import DeclarationError
from deploy.applying.apply import apply, show_differences
from deploy.applying.cloud import NOT_FOUND, Cloud, CommandFailedError
from deploy.applying.destroy import destroy, removals
from deploy.checking import command as checking
from deploy.checking.local import URL_VARIABLE
from deploy.cloudbuild import check_build_yaml, cloudbuild_yaml
from deploy.declared import DECLARATION, IMPORT_TOPIC, read
from deploy.monitoring.resources import documents
from deploy.plan import monitoring_plan, plan
from deploy.planning.script import shell_script
from deploy.planning.steps import Plan

if TYPE_CHECKING:
    from deploy.dead_letters import DeadLetters


def main(arguments: Sequence[str] | None = None, program: str = "python -m deploy") -> int:
    """Run one command; return 0, or 1 with the reason on stderr. ``program`` is what the user typed before the arguments."""
    options = _parser(program).parse_args(arguments)
    try:
        declaration = read(options.declaration, options.env, getattr(options, "project", None))
        return int(options.run(declaration, options))
    except (DeclarationError, CommandFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of a pipe has ended, such as `head`: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Deploys what deploy/functions.yaml declares to Google Cloud."
    )
    parser.add_argument(
        "--declaration", type=Path, default=DECLARATION, help="a file to use in place of deploy/functions.yaml"
    )
    parser.add_argument("--env", metavar="NAME", help="one of the declared `environments`, with names of its own")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "check", help="say whether `apply` can deploy to the project; also on the local cloud; changes nothing"
    )
    _add_project(command)
    checking.add_arguments(command)
    command.set_defaults(run=_check)

    command = commands.add_parser("plan", help="print the gcloud commands of `apply` as a Bash script, and run none")
    _add_project(command)
    command.add_argument(
        "--diff", action="store_true", help="read the project, and show what `apply` would create, change or remove"
    )
    command.set_defaults(run=_plan)

    command = commands.add_parser("apply", help="create everything that is declared; can be repeated")
    _add_project(command)
    _add_adopt(command)
    command.add_argument(
        "--drop-messages",
        action="store_true",
        help="also replace and remove triggers of functions, with the messages that wait in their subscriptions",
    )
    command.set_defaults(run=_apply)

    command = commands.add_parser(
        "smoke", help="try a deployment with a drop, a prediction and a batch in dry run; remove everything afterwards"
    )
    _add_project(command)
    command.add_argument("--timeout", type=_seconds, default=900, help="seconds that all of it may take (%(default)s)")
    command.add_argument(
        "--dataset", metavar="NAME", help="a dataset that exists; default: one that is deleted at the end"
    )
    command.set_defaults(run=_smoke)

    command = commands.add_parser("destroy", help="delete everything that the declaration created")
    _add_project(command)
    command.add_argument(
        "--yes", action="store_true", help="delete; without this option, only show what would be deleted"
    )
    command.add_argument("--with-data", action="store_true", help="delete buckets and held messages too")
    command.set_defaults(run=_destroy)

    command = commands.add_parser("cloudbuild", help="print cloudbuild.yaml, the build that deploys")
    command.add_argument("--test", action="store_true", help="print cloudbuild-test.yaml, the build that tests")
    _add_environment(command)
    command.set_defaults(run=_cloudbuild)

    _add_monitoring(commands.add_parser("monitoring", help="show, apply or remove metrics, alerts and a dashboard"))
    _add_dead_letters(commands.add_parser("dead-letters", help="list or replay events that no function acknowledged"))
    return parser


def _add_monitoring(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        ("show", _show_monitoring, "print the metrics, alerts and the dashboard as JSON, and change nothing"),
        ("apply", _apply_monitoring, "the part of `apply` that creates or updates metrics, alerts and the dashboard"),
        ("remove", _remove_monitoring, "remove metrics, alerts and the dashboard"),
    ):
        command = commands.add_parser(name, help=about)
        _add_project(command)
        if name == "apply":
            _add_adopt(command)
        command.set_defaults(run=run)


def _add_dead_letters(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="list the dead letters, and keep them")
    _add_reading(command)
    command.set_defaults(run=_list_dead_letters)

    command = commands.add_parser(
        "replay",
        help="publish messages to their topic again, and import the drops of uploads",
    )
    _add_reading(command)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID", help="ids from `list`")
    which.add_argument("--all", action="store_true", help="every dead letter")
    command.set_defaults(run=_replay_dead_letters)


def _add_reading(command: argparse.ArgumentParser) -> None:
    _add_project(command)
    command.add_argument("--limit", type=_count, default=1000, help="read at most this many (%(default)s)")
    command.add_argument(
        "--wait",
        type=_seconds,
        default=5,
        help="stop after this many seconds without another dead letter (%(default)s)",
    )
    command.add_argument(
        "--timeout", type=_seconds, default=60, help="seconds to wait for each answer of Pub/Sub (%(default)s)"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, found {text!r}")
    return seconds


def _add_project(command: argparse.ArgumentParser) -> None:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    command.add_argument(
        "--project",
        type=_project_id,
        default=project,
        required=project is None,
        help="its id; default: GOOGLE_CLOUD_PROJECT",
    )
    _add_environment(command)


def _add_environment(command: argparse.ArgumentParser) -> None:
    """Add the option that is also taken before the command, whose value is kept if it is not given after it."""
    command.add_argument("--env", metavar="NAME", default=argparse.SUPPRESS, help="one of the declared `environments`")


def _project_id(text: str) -> str:
    """Return the id of a project, which is part of names; its number and its display name are not."""
    if not re.fullmatch(PROJECT_ID.pattern, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of a project; expected {PROJECT_ID.expected}")
    return text


def _add_adopt(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--adopt",
        nargs="+",
        default=[],
        metavar="NAME",
        help="resources that exist and are to belong to the declaration, such as topics/my-topic",
    )


def _check(declaration: Declaration, options: argparse.Namespace) -> int:
    if _is_local(options.project):
        return checking.run_locally(declaration, options)
    _refuse_the_local_cloud()
    return checking.run(declaration, options)


def _plan(declaration: Declaration, options: argparse.Namespace) -> int:
    steps = plan(declaration, options.project)
    if options.diff:
        _refuse_the_local_cloud()
        lines = list(show_differences(steps, Cloud(steps.lookups)))
        print(*lines or ["Everything is as declared."], sep="\n")
    else:
        print(shell_script(steps, NOT_FOUND), end="")
    return 0


def _apply(declaration: Declaration, options: argparse.Namespace) -> int:
    code = _create(plan(declaration, options.project), options.adopt, drops_messages=options.drop_messages)
    option = declaration.environment_option
    print(f"The project is as declared. Try it: python -m deploy{option} smoke --project {options.project}")
    return code


def _smoke(declaration: Declaration, options: argparse.Namespace) -> int:
    if not _is_local(options.project):
        _refuse_the_local_cloud()
    # The clients take a moment to import, and the other commands do not need them.
    from deploy.smoke import command as smoke

    return smoke.run(declaration, options)


def _destroy(declaration: Declaration, options: argparse.Namespace) -> int:
    steps = plan(declaration, options.project)
    if options.yes:
        return _delete(steps, with_data=options.with_data)
    _refuse_the_local_cloud()
    print("This would be deleted; add --yes to delete it:")
    for removal in removals(steps, Cloud(steps.lookups), with_data=options.with_data):
        print(f"  {removal.about}{f': {removal.left}' if removal.left else ''}")
    return 1


def _create(steps: Plan, adopted: Sequence[str], *, drops_messages: bool = False) -> int:
    _refuse_the_local_cloud()
    apply(steps, Cloud(steps.lookups), adopted=adopted, drops_messages=drops_messages)
    return 0


def _delete(steps: Plan, *, with_data: bool) -> int:
    _refuse_the_local_cloud()
    failures = destroy(steps, Cloud(steps.lookups), with_data=with_data)
    print(*failures, sep="\n", file=sys.stderr, end="\n" if failures else "")
    return 1 if failures else 0


def _is_local(project: str) -> bool:
    """Return whether ``project`` is that of the local cloud whose variables are set."""
    return URL_VARIABLE in os.environ and project == os.environ.get("GOOGLE_CLOUD_PROJECT")


def _refuse_the_local_cloud() -> None:
    """Refuse to call gcloud with the variables of a local cloud, which has no control plane.

    Raises:
        CommandFailedError: Such a variable is set.
    """
    found = [name for name in os.environ if name == URL_VARIABLE or name.endswith("_EMULATOR_HOST")]
    if found:
        raise CommandFailedError(
            f"The variables of a local cloud are set ({', '.join(sorted(found))}), and only Google Cloud can be deployed to. "
            "Use a shell without them. `check` and `smoke` take the local cloud without --project."
        )


def _cloudbuild(declaration: Declaration, options: argparse.Namespace) -> int:
    print(check_build_yaml(declaration) if options.test else cloudbuild_yaml(declaration), end="")
    return 0


def _show_monitoring(declaration: Declaration, options: argparse.Namespace) -> int:
    print(json.dumps(documents(declaration, options.project), indent=2))
    return 0


def _apply_monitoring(declaration: Declaration, options: argparse.Namespace) -> int:
    return _create(monitoring_plan(declaration, options.project), options.adopt)


def _remove_monitoring(declaration: Declaration, options: argparse.Namespace) -> int:
    return _delete(monitoring_plan(declaration, options.project), with_data=False)


def _list_dead_letters(declaration: Declaration, options: argparse.Namespace) -> int:
    with _dead_letters(declaration, options) as dead_letters:
        with dead_letters.leased(limit=options.limit, wait_seconds=options.wait) as letters:
            for letter in letters:
                print(letter.describe())
        print(f"{len(letters)} held{_and_more(letters, options)}")
    return 0


def _replay_dead_letters(declaration: Declaration, options: argparse.Namespace) -> int:
    sent = 0
    with (
        _dead_letters(declaration, options) as dead_letters,
        dead_letters.leased(limit=options.limit, wait_seconds=options.wait) as letters,
    ):
        chosen = [letter for letter in letters if options.all or letter.id in options.ids]
        missing = set(options.ids) - {letter.id for letter in chosen}
        for name in sorted(missing):
            print(f"{name} is not a dead letter that is held", file=sys.stderr)
        for letter, outcome in dead_letters.replay(chosen):
            if isinstance(outcome, str):
                print(f"{letter.id} sent to {outcome}")
                sent += 1
            else:
                print(f"{letter.id} stays held: {outcome}", file=sys.stderr)
        print(f"{sent} sent again{_and_more(letters, options)}")
    return 0 if sent == len(chosen) and not missing else 1


def _and_more(letters: Sequence[object], options: argparse.Namespace) -> str:
    return f"; there may be more, because --limit is {options.limit}" if len(letters) == options.limit else ""


@contextmanager
def _dead_letters(declaration: Declaration, options: argparse.Namespace) -> Iterator[DeadLetters]:
    # Pub/Sub's client takes a moment to import, and the other commands do not need it.
    from google.api_core.exceptions import GoogleAPIError

    from deploy.dead_letters import DeadLetters

    hold = declaration.dead_letters_hold
    try:
        yield DeadLetters(
            project=options.project,
            hold=hold,
            models_topic=declaration.topics[IMPORT_TOPIC].name,
            answer_seconds=options.timeout,
        )
    except GoogleAPIError as error:
        raise CommandFailedError(f"A call to Pub/Sub for {hold} failed: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
