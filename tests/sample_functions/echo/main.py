"""Two functions that the supervisor's tests run: one tells what it is given, one keeps the events that reach it."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import flask
import functions_framework


@functions_framework.http
def echo(request: flask.Request) -> dict[str, Any]:
    """Tell who answers, with what environment, and what was asked."""
    logging.warning("asked for %s", request.path)
    return {"pid": os.getpid(), "environment": dict(os.environ), "body": request.get_data(as_text=True)}


@functions_framework.http
def crash(request: flask.Request) -> str:
    """End the whole process group in the middle of an answer, as running out of memory does."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return "never sent"
