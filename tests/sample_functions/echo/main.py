"""Functions for tests of the function processes: one returns its environment, one crashes."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import flask
import functions_framework


@functions_framework.http
def echo(request: flask.Request) -> dict[str, Any]:
    """Return the process id, the environment and the body of the request."""
    logging.warning("request for %s", request.path)
    return {"pid": os.getpid(), "environment": dict(os.environ), "body": request.get_data(as_text=True)}


@functions_framework.http
def crash(request: flask.Request) -> str:
    """Kill the whole process group before the answer, as running out of memory does."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return "never sent"
