"""Runs commands of the real gcloud in forks of one process that has loaded gcloud. gcloud's own Python runs this file.

Loading takes most of the processor time of a command. Each command runs in a process of its own, as in a shell, so nothing of
one command is left for the next.

Each line of standard input is a JSON list: the file for the output, the file for the errors, and the arguments. If the first of
these is `--parse-only`, gcloud reads the others and runs nothing. Each line of standard output is the exit code of a command.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

LIBRARY = Path(sys.argv[1])
sys.path[:0] = [str(LIBRARY), str(LIBRARY / "third_party")]

from googlecloudsdk import gcloud_main  # noqa: E402


def run(output: str, errors: str, *arguments: str) -> None:
    """Run one command in this process, and end the process."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags), number)
    sys.argv = ["gcloud", *arguments]
    code: object = 1
    try:
        if arguments[0] == "--parse-only":
            cli._CLI__parser.parse_args(list(arguments[1:]))
        else:
            gcloud_main.main(cli)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


cli = gcloud_main.CreateCLI([])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(*json.loads(line))
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
