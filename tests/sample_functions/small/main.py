"""One function for each kind of trigger; each writes its event or request to a bucket."""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import Any

import flask
import functions_framework
from cloudevents.http import CloudEvent
from google.cloud import storage


def keep(folder: str, value: Any) -> None:
    """Write ``value`` as JSON to a new object in ``folder`` of the kept bucket."""
    bucket = storage.Client().bucket(os.environ["KEPT_BUCKET"])
    bucket.blob(f"{folder}/{uuid.uuid4()}.json").upload_from_string(json.dumps(value))


@functions_framework.cloud_event
def keep_object(event: CloudEvent) -> None:
    """Write the event of an object."""
    keep("objects", {"type": event["type"], "subject": event["subject"], "data": event.data})


@functions_framework.cloud_event
def keep_message(event: CloudEvent) -> None:
    """Write the event of a message."""
    keep("messages", {"type": event["type"], "source": event["source"], "data": event.data})


@functions_framework.http
def keep_call(request: flask.Request) -> str:
    """Write a request, with the settings of the function, and a line to the log."""
    sys.stderr.write("called\n")
    settings = {name.lower(): os.environ.get(name) for name in ("GREETING", "FAREWELL")}
    keep("calls", {"body": request.get_json(force=True), **settings})
    return "kept"
