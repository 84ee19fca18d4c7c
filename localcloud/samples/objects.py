"""The sample objects: the images of the course's lab about film posters, in the public bucket that the lab reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POSTERS = Path(__file__).parent / "posters"
# https://docs.cloud.google.com/bigquery/docs/image-analysis
_BUCKET = "cloud-samples-data"
_FOLDER = "vertex-ai/dataset-management/datasets/classic-movie-posters"


@dataclass(frozen=True)
class SampleObject:
    """An object that the local Cloud Storage contains at the start."""

    bucket: str
    name: str
    content_type: str
    content: bytes


def sample_objects() -> Iterator[SampleObject]:
    """Yield every sample object with its content."""
    for file in sorted(POSTERS.glob("*.jpg")):
        yield SampleObject(_BUCKET, f"{_FOLDER}/{file.name}", "image/jpeg", file.read_bytes())
