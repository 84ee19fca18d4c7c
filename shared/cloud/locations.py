"""The locations of Vertex AI, the address of each, and the models of the documentation.

https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations
"""

from __future__ import annotations

import re
from contextlib import suppress

from shared.errors import Rejected
from shared.settings import LOCATION

GLOBAL = "global"

# The hosts of the locations that are not regions. The host of a region begins with its name.
_HOSTS = {
    GLOBAL: "aiplatform.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}
# Where a dataset is created for a batch that names none, if the batch does not run in a region. The documentation shows
# `us-central1` with `global`; batches do not take the multi-regions US and EU.
_DATASET_LOCATIONS = {GLOBAL: "us-central1", "us": "us-central1", "eu": "europe-west4"}

_IN_MODEL = re.compile(r"projects/[^/]+/locations/([^/]+)/")


def is_region(location: str) -> bool:
    """Return whether a location is a region, whose jobs use datasets of the same region only."""
    return location not in _HOSTS


def is_location(text: str) -> bool:
    """Return whether ``text`` can be a location of Vertex AI."""
    with suppress(ValueError):
        return bool(LOCATION.read(text))
    return False


def check_location(text: str, field: str) -> str:
    """Return ``text`` if it can be a location of Vertex AI; raise ``Rejected`` about ``field`` if not."""
    if is_location(text):
        return text
    lower = text.lower()
    meant = f"; did you mean {lower}?" if is_location(lower) else ""
    raise Rejected(f"{field} is {text[:80]!r}; write {LOCATION.expected}{meant}", field=field, code="invalid_field")


def host_of(location: str) -> str:
    """Return the host of Vertex AI in a location."""
    return _HOSTS.get(location) or f"{location}-aiplatform.googleapis.com"


def dataset_location(location: str) -> str:
    """Return where to create the dataset of a batch that runs in ``location``."""
    return _DATASET_LOCATIONS.get(location, location)


def location_in(name: str) -> str | None:
    """Return the location in the resource name of a job or a model; None for a name without one."""
    found = _IN_MODEL.match(name)
    return found.group(1) if found else None
