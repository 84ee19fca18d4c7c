"""``python -m deploy smoke``: tries a deployment, and removes everything afterwards."""

from __future__ import annotations

import argparse
import signal
import sys

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from declaration.model import Declaration
from deploy.applying.cloud import CommandFailedError
from deploy.smoke.received import TrialFailedError
from deploy.smoke.trial import Trial


def run(declaration: Declaration, options: argparse.Namespace) -> int:
    """Try the deployment; return 1 if it did not work or if something could not be removed.

    Raises:
        CommandFailedError: It cannot begin.
    """
    dataset = _dataset(declaration, options.project, options.dataset)
    # A process that is ended also removes what it created.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        trial = Trial(declaration, options.project, options.timeout, dataset, report=_print)
    except GoogleAuthError as error:
        raise CommandFailedError(f"{error}\nLog in: gcloud auth application-default login") from error
    code = 1
    try:
        trial.run()
        code = 0
    except (TrialFailedError, GoogleAPIError, GoogleAuthError, OSError, TimeoutError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        if trial.target:
            environment = f" --env {options.env}" if options.env else ""
            print(f"More: modeldrop why {trial.target} --project {options.project}{environment}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
    remaining = trial.close()
    for line in remaining:
        print(f"Not removed: {line}", file=sys.stderr)
    if not remaining:
        print("Everything that was created is removed.")
    if code == 0:
        print("The deployment works.")
    return 1 if remaining else code


def _dataset(declaration: Declaration, project: str, given: str | None) -> str | None:
    """Return the dataset of ``project`` to use, without its project; None: the trial creates one.

    Raises:
        CommandFailedError: The functions may not write to it, or it is of another project, whose models no drop creates.
    """
    names = declaration.datasets.writable.names if declaration.datasets else ()
    writable = [name.removeprefix(f"{project}.") for name in names]
    dataset = given.removeprefix(f"{project}.") if given else None
    if dataset and "." in dataset:
        raise CommandFailedError(f"--dataset is {given}; expected a dataset of {project}, where drops are imported.")
    if writable and dataset not in writable:
        own = [name for name in writable if "." not in name]
        right = f"name one of them with --dataset: {', '.join(own)}" if own else f"declare one of {project}, too"
        raise CommandFailedError(f"The functions may only write to the datasets {', '.join(names)}: {right}.")
    return dataset


def _print(line: str) -> None:
    print(line, flush=True)
