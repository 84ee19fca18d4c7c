"""A function that calls services as the functions of Modeldrop do, for tests of the front."""

from __future__ import annotations

import os

import flask
import functions_framework
from google.cloud import pubsub_v1, storage


@functions_framework.http
def work(request: flask.Request) -> str:
    """Write one object, read it back and publish its name: three calls."""
    name = request.args["name"]
    blob = storage.Client(project=os.environ["GOOGLE_CLOUD_PROJECT"]).bucket(os.environ["BUCKET"]).blob(name)
    blob.upload_from_string("content")
    blob.reload()
    pubsub_v1.PublisherClient().publish(os.environ["TOPIC"], name.encode()).result()
    return "done"
