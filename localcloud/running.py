"""Which local clouds run: one file for each, in the folder `.localcloud` of the folder where it was started.

A running local cloud holds a lock on its file. The lock ends with the process, so a file without one is of a local cloud that
has stopped, however it ended. This module imports nothing of the local cloud, because short commands use it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

FOLDER = Path(".localcloud")
ENDING = ".json"
LOGS, LATEST = "logs", "latest"
ID_VARIABLE, URL_VARIABLE = "LOCALCLOUD_ID", "LOCALCLOUD_URL"
FILE_VARIABLE = "LOCALCLOUD_FILE"
"""The path of the state file of the local cloud whose variables are set, so that it is found from every folder."""
STATE_VARIABLE = "LOCALCLOUD_STATE"
"""The path of the state file, for a local cloud that is not to be found by its folder."""
LOGS_KEPT = 5


class NotOneRunning(Exception):
    """No local cloud is meant, or it is not clear which one; the text says what to do."""


@dataclass(frozen=True)
class Running:
    """A local cloud that runs."""

    file: Path
    pid: int
    environment: Mapping[str, str]
    """The variables that clients need."""
    logs: Path | None = None
    """Where the logs of its functions are, if that is known."""

    @property
    def id(self) -> str:
        """Its id, which no other local cloud has."""
        return self.environment[ID_VARIABLE]

    @property
    def url(self) -> str:
        """The URL of its services."""
        return self.environment[URL_VARIABLE]

    @property
    def port(self) -> int:
        """The port of its services."""
        return int(self.url.rpartition(":")[2])


class StateFile:
    """The file of the local cloud that this process runs; it is deleted when the local cloud stops."""

    def __init__(self, environment: Mapping[str, str], logs: Path | None = None) -> None:
        """Write the file and lock it.

        Args:
            environment: The variables that clients need.
            logs: Where the logs of the functions are.

        Raises:
            OSError: The file cannot be written, or another local cloud has it.
        """
        url = environment[URL_VARIABLE]
        self.path = _given_file() or FOLDER / f"{url.rpartition(':')[2]}{ENDING}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = self.path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise OSError(f"another local cloud runs with the state file {self.path}") from None
        self.environment = {**environment, FILE_VARIABLE: str(self.path.absolute())}
        self._file.truncate(0)
        state = {"pid": os.getpid(), "environment": self.environment, "logs": str(logs.absolute()) if logs else None}
        json.dump(state, self._file)
        self._file.flush()

    def delete(self) -> None:
        """Delete the file."""
        # Deleted under the lock: it cannot be the file of another local cloud.
        self.path.unlink(missing_ok=True)
        self._file.close()


def running() -> list[Running]:
    """Return the local clouds that run: those of this folder, and the one whose variables are set."""
    given = _given_file()
    files = [given] if given else sorted(FOLDER.glob(f"*{ENDING}"))
    found = [cloud for file in files if (cloud := _read(file)) is not None]
    shell = _of_this_shell()
    return [*found, *([shell] if shell and all(cloud.id != shell.id for cloud in found) else [])]


def choose(port: int | None = None, *, of_this_shell: bool = True) -> Running:
    """Return the running local cloud that is meant.

    Args:
        port: The port of its services; None: the one whose variables are set, or the only one.
        of_this_shell: Whether to refuse another one than that whose variables are set.

    Raises:
        NotOneRunning: There is none, or it is not clear which one is meant.
    """
    clouds = running()
    if port is not None:
        clouds = [cloud for cloud in clouds if cloud.port == port]
        if not clouds:
            raise NotOneRunning(f"No local cloud runs on port {port}, according to {folder()}. {_list()}")
        return clouds[0]
    shell = os.environ.get(ID_VARIABLE)
    chosen = next((cloud for cloud in clouds if cloud.id == shell), None)
    if chosen is not None:
        return chosen
    if not clouds:
        raise NotOneRunning(f"No local cloud is running, according to {folder()}. Start one with `modeldrop start`.")
    if shell and of_this_shell:
        raise NotOneRunning(
            f"The variables of this shell are of a local cloud that has stopped ({os.environ.get(URL_VARIABLE)}). {_list()} "
            'Choose one with --port, or set its variables: eval "$(modeldrop env --port PORT)".'
        )
    if len(clouds) > 1:
        raise NotOneRunning(f"{len(clouds)} local clouds run. {_list()} Choose one with --port.")
    return clouds[0]


def folder() -> Path:
    """Return the folder of the files, which may not exist."""
    given = _given_file()
    return (given.parent if given else FOLDER).absolute()


def shown_logs() -> Path:
    """Return where the logs of the local cloud whose variables are set are, or else of the one that was started last."""
    shell = _of_this_shell()
    return shell.logs if shell is not None and shell.logs is not None else latest_logs()


def latest_logs() -> Path:
    """Return where the logs of the local cloud that was started last are. They outlive it."""
    return folder() / LOGS / LATEST


def new_logs(name: str) -> Path:
    """Create a folder for the logs of a local cloud, and delete all but the last ``LOGS_KEPT`` of those before."""
    logs = folder() / LOGS
    created = logs / name
    created.mkdir(parents=True)
    before = sorted(each for each in logs.iterdir() if each.is_dir() and not each.is_symlink() and each != created)
    for old in before[: -(LOGS_KEPT - 1)]:
        for file in old.iterdir():
            file.unlink(missing_ok=True)
        old.rmdir()
    return created


def remember_logs(logs: Path) -> None:
    """Let ``latest_logs`` return ``logs``."""
    link = latest_logs()
    link.parent.mkdir(parents=True, exist_ok=True)
    unfinished = link.with_name(f"{LATEST}-{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(logs.absolute(), target_is_directory=True)
    unfinished.replace(link)


def _given_file() -> Path | None:
    given = os.environ.get(STATE_VARIABLE)
    return Path(given) if given else None


def _of_this_shell() -> Running | None:
    """Return the local cloud whose variables are set, wherever it was started; None if it has stopped."""
    file, cloud_id = os.environ.get(FILE_VARIABLE), os.environ.get(ID_VARIABLE)
    found = _read(Path(file)) if file and cloud_id else None
    return found if found is not None and found.id == cloud_id else None


def _read(file: Path) -> Running | None:
    try:
        with file.open(encoding="utf-8") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                state = json.load(opened)
                logs = state.get("logs")
                return Running(file, int(state["pid"]), dict(state["environment"]), Path(logs) if logs else None)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _list() -> str:
    shown = ", ".join(f"{cloud.url} (process {cloud.pid})" for cloud in running())
    return f"Running: {shown}." if shown else "None is running."
