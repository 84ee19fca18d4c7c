"""Google's description of the BigQuery API, with this server in the place of theirs. ``bq`` begins by fetching it."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def _document() -> dict[str, Any]:
    package = resources.files("googleapiclient.discovery_cache") / "documents" / "bigquery.v2.json"
    document: dict[str, Any] = json.loads(package.read_text())
    return document


def described_at(url: str) -> dict[str, Any]:
    """Return the discovery document of a BigQuery that is at ``url`` (no trailing slash)."""
    return _document() | {
        "rootUrl": f"{url}/",
        "servicePath": "bigquery/v2/",
        "baseUrl": f"{url}/bigquery/v2/",
        "mtlsRootUrl": f"{url}/",
    }
