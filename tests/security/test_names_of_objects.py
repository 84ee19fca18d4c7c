"""Names of objects lead to no file outside of a model or a job, and end no job in an internal error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from localcloud.bigquery.ml.models.importing import ImportOptions, fetch
from tests.localcloud.bigquery.ml.world import BUCKET, MlWorld, ml_world

LONG = "x" * 300


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        yield running


@pytest.mark.parametrize("name", ["saved_model.pb/x", f"assets/{LONG}", "assets/a\0b"], ids=["folder", "long", "NUL"])
def test_a_model_with_a_name_that_no_file_can_have_is_refused(world: MlWorld, name: str) -> None:
    folder = f"refused-{len(name)}"
    world.upload(folder, {"saved_model.pb": b"", name: b""})
    statement = f"CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/{folder}/*')"
    with pytest.raises(BadRequest, match="can't be the name of a file") as refusal:
        world.client.query(world.named(statement), job_retry=None).result()
    assert refusal.value.errors[0]["reason"] == "invalid"


def test_objects_outside_of_the_folder_of_a_model_are_not_copied(world: MlWorld, tmp_path: Path) -> None:
    target = tmp_path / "a" / "model"
    target.mkdir(parents=True)
    names = ["saved_model.pb", "../outside", "a/../../outside", "/outside", "a//b", "./c", "a/./d"]
    world.upload("paths", dict.fromkeys(names, b"content"))
    fetch(ImportOptions("TENSORFLOW", f"gs://{BUCKET}/paths/*"), world.store, target, lambda: None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target / "saved_model.pb"]


@pytest.mark.parametrize(
    "name",
    [f"{LONG}.csv", "a*.csv", "a[1].csv", "a\0.csv", "a\\'.csv"],
    ids=["long", "star", "brackets", "NUL", "quote"],
)
def test_a_load_job_reads_only_the_object_that_it_names(world: MlWorld, name: str) -> None:
    for each in (name, "loads/a1.csv", "loads/1.csv"):
        world.store.write(BUCKET, f"loads/{name}" if each == name else each, b"x\n1\n" if each == name else b"x\n7\n")
    uri = f"gs://{BUCKET}/loads/{name}"
    configuration = bigquery.LoadJobConfig(autodetect=True, skip_leading_rows=1, write_disposition="WRITE_TRUNCATE")
    table = f"{world.dataset}.loaded"
    world.client.load_table_from_uri(uri, table, job_config=configuration).result()
    values = [row.values()[0] for row in world.client.list_rows(world.client.get_table(table))]
    assert 1 in values
    assert len(values) == (2 if "*" in name else 1)


@pytest.mark.parametrize("name", [LONG * 4, "a\nb", ".."], ids=["long", "line end", "dots"])
def test_an_extract_job_to_a_name_that_no_object_can_have_is_refused(world: MlWorld, name: str) -> None:
    world.run("CREATE OR REPLACE TABLE d.extracted AS SELECT 1 AS x")
    with pytest.raises(BadRequest) as refusal:
        world.client.extract_table(f"{world.dataset}.extracted", f"gs://{BUCKET}/{name}").result()
    assert refusal.value.errors[0]["reason"] == "invalid"
