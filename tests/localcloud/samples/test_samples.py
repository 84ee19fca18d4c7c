"""The sample tables: generated, small, with the schema of the public ones, and new to the classifier."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from examples.train_classifier import publishers, read_titles
from localcloud.samples.films import FILMS
from localcloud.samples.make_posters import write_posters
from localcloud.samples.make_samples import STORIES, write_samples
from localcloud.samples.objects import sample_objects
from localcloud.samples.tables import FOLDER, SampleTable, sample_tables

HACKER_NEWS = "bigquery-public-data.hacker_news.full"
REQUESTS = "storage-samples.generative_ai.batch_requests_for_multimodal_input_2"
PYTHON_TYPES = {"STRING": str, "INTEGER": int, "FLOAT": float, "BOOLEAN": bool, "TIMESTAMP": datetime, "JSON": str}


@pytest.fixture(scope="module")
def tables() -> dict[str, SampleTable]:
    return {sample.table: sample for sample in sample_tables()}


def test_the_shipped_files_equal_the_output_of_the_generator(tmp_path: Path) -> None:
    write_samples(tmp_path)

    shipped = sorted(FOLDER.glob("*.gz"))
    assert [file.name for file in shipped] == sorted(file.name for file in tmp_path.iterdir())
    # The compressed bytes differ between versions of zlib; the content does not.
    for file in shipped:
        assert gzip.decompress(file.read_bytes()) == gzip.decompress((tmp_path / file.name).read_bytes())
        assert file.stat().st_size < 300_000


def test_sample_tables_have_the_locations_of_the_public_ones(tables: dict[str, SampleTable]) -> None:
    films = dict.fromkeys(
        (f"bigquery-public-data.imdb.{name}" for name in ("reviews", "title_basics", "title_ratings")), "US"
    )
    locations = {name: sample.location for name, sample in tables.items()}
    assert locations == {HACKER_NEWS: "US", REQUESTS: "us-central1", **films}


def test_every_row_has_every_column_with_a_value_of_its_type_or_null(tables: dict[str, SampleTable]) -> None:
    for sample in tables.values():
        kinds = {column["name"]: PYTHON_TYPES[column["type"]] for column in sample.schema}
        for row in sample.rows:
            assert list(row) == list(kinds)
            assert all(value is None or type(value) is kinds[name] for name, value in row.items())


def test_stories_have_titles_that_no_classifier_was_trained_on(tables: dict[str, SampleTable]) -> None:
    rows = tables[HACKER_NEWS].rows
    titles = [row["title"] for row in rows]

    assert len(titles) == STORIES == len(set(titles))
    assert not set(titles) & {title for title, _ in read_titles("train")}
    assert set(titles) > {title for title, _ in read_titles("heldout")}


def test_the_host_of_a_story_names_its_publisher(tables: dict[str, SampleTable]) -> None:
    urls = {row["title"]: row["url"] for row in tables[HACKER_NEWS].rows}

    for title, publisher in read_titles("heldout"):
        assert urls[title].startswith(f"https://{publisher}.example/")
    shares = Counter(url.removeprefix("https://").split(".")[0] for url in urls.values())
    assert set(shares) == set(publishers())
    assert min(shares.values()) > STORIES / 4


def test_every_row_is_a_story_with_a_title(tables: dict[str, SampleTable]) -> None:
    """A prediction over all rows has no NULL among its inputs."""
    assert all(row["type"] == "story" and row["title"] for row in tables[HACKER_NEWS].rows)


def test_timestamp_is_the_time_in_seconds(tables: dict[str, SampleTable]) -> None:
    assert all(row["timestamp"] == datetime.fromtimestamp(row["time"], UTC) for row in tables[HACKER_NEWS].rows)


def test_requests_are_text_alone_or_text_about_a_file_in_cloud_storage(tables: dict[str, SampleTable]) -> None:
    requests = [json.loads(row["request"]) for row in tables[REQUESTS].rows]
    parts = [request["contents"][0]["parts"] for request in requests]

    assert all(text["text"] for text, *_ in parts)
    files = [part["fileData"] for _, *rest in parts for part in rest]
    assert 0 < len(files) < len(requests)
    assert all(file["fileUri"].startswith("gs://") and "/" in file["mimeType"] for file in files)


def test_the_shipped_posters_are_those_that_the_script_draws(tmp_path: Path) -> None:
    write_posters(tmp_path)
    shipped = {one.name.rpartition("/")[2]: one.content for one in sample_objects()}
    drawn = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert sorted(shipped) == sorted(drawn) == sorted(f"{film.slug}.jpg" for film in FILMS)
    for name, content in shipped.items():
        assert len(content) < 10_000
        with Image.open(io.BytesIO(content)) as image, Image.open(io.BytesIO(drawn[name])) as again:
            assert (image.format, image.size) == (again.format, again.size)
