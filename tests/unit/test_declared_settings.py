"""The declaration names every setting of the functions, so that any of them can be set where they are deployed."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import yaml

from shared.settings import Settings

# These tell where things are; the declaration's buckets, topics and region say them.
PLACES = {
    "GOOGLE_CLOUD_PROJECT",
    "MODEL_BUCKET",
    "STATE_BUCKET",
    "OUTPUT_BUCKET",
    "EVENTS_TOPIC",
    "PREDICT_TOPIC",
    "VERTEX_LOCATION",
    "VERTEX_ENDPOINT",
}


def test_every_setting_is_declared() -> None:
    declared = yaml.safe_load(Path("deploy/functions.yaml").read_text())["settings"]

    assert set(declared) == {field.name.upper() for field in fields(Settings)} - PLACES
