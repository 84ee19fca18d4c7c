"""The sample tables: their names, locations, columns and rows. The rows are in files of this package."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SampleTable:
    """A table that the local BigQuery contains at the start."""

    table: str
    """The full name, ``project.dataset.table``."""
    location: str
    """The location of the dataset."""
    schema: list[dict[str, Any]]
    """The columns, as the REST API's TableFieldSchema."""
    rows: tuple[dict[str, Any], ...]
    """The rows with all columns: a TIMESTAMP is an aware datetime, JSON is text."""


@dataclass(frozen=True)
class _Shipped:
    table: str
    location: str
    columns: dict[str, str]
    file: str


_SHIPPED = (
    # The columns of the public table, in its order.
    _Shipped(
        "bigquery-public-data.hacker_news.full",
        "US",
        {
            "title": "STRING",
            "url": "STRING",
            "text": "STRING",
            "dead": "BOOLEAN",
            "by": "STRING",
            "score": "INTEGER",
            "time": "INTEGER",
            "timestamp": "TIMESTAMP",
            "type": "STRING",
            "id": "INTEGER",
            "parent": "INTEGER",
            "descendants": "INTEGER",
            "ranking": "INTEGER",
            "deleted": "BOOLEAN",
        },
        "hacker_news.jsonl.gz",
    ),
    # A Gemini batch reads its requests from a single region, so this table is not in US:
    # https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
    _Shipped(
        "storage-samples.generative_ai.batch_requests_for_multimodal_input_2",
        "us-central1",
        {"id": "INTEGER", "request": "JSON"},
        "batch_requests.jsonl.gz",
    ),
    # The tables that the lab about film posters joins.
    _Shipped(
        "bigquery-public-data.imdb.title_basics",
        "US",
        {
            "tconst": "STRING",
            "title_type": "STRING",
            "primary_title": "STRING",
            "original_title": "STRING",
            "is_adult": "INTEGER",
            "start_year": "INTEGER",
            "end_year": "INTEGER",
            "runtime_minutes": "INTEGER",
            "genres": "STRING",
        },
        "imdb_title_basics.jsonl.gz",
    ),
    _Shipped(
        "bigquery-public-data.imdb.title_ratings",
        "US",
        {"tconst": "STRING", "average_rating": "FLOAT", "num_votes": "INTEGER"},
        "imdb_title_ratings.jsonl.gz",
    ),
    _Shipped(
        "bigquery-public-data.imdb.reviews",
        "US",
        {
            "review": "STRING",
            "split": "STRING",
            "label": "STRING",
            "movie_id": "STRING",
            "reviewer_rating": "INTEGER",
            "movie_url": "STRING",
            "title": "STRING",
        },
        "imdb_reviews.jsonl.gz",
    ),
)

# How to convert a value of the file into a value of a row. Other types need no conversion.
_FROM_JSON: dict[str, Callable[[Any], Any]] = {"TIMESTAMP": datetime.fromisoformat, "JSON": json.dumps}


def sample_tables() -> Iterator[SampleTable]:
    """Yield every sample table with its rows."""
    for shipped in _SHIPPED:
        yield SampleTable(
            table=shipped.table,
            location=shipped.location,
            schema=[{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in shipped.columns.items()],
            rows=tuple(_read(FOLDER / shipped.file, shipped.columns)),
        )


def _read(path: Path, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            shipped = json.loads(line)
            yield {name: _value(shipped.get(name), kind) for name, kind in columns.items()}


def _value(shipped: Any, kind: str) -> Any:
    convert = _FROM_JSON.get(kind)
    return shipped if shipped is None or convert is None else convert(shipped)
