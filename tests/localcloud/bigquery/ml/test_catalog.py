"""The catalog of models: versions, copies, expiration, registry numbers, and crashes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.clock import ManualClock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model, ModelCatalog, milliseconds
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.models.statements import ModelReference

ONE, OTHER = ModelReference("p", "d", "one"), ModelReference("p", "d", "other")
SIGNATURE = Signature((Feature.as_input("x", "FLOAT64", (None, 3)),), (Feature.as_output("y", "STRING", ()),))


def put(catalog: ModelCatalog, reference: ModelReference, content: str, *, replacing: bool = True, **run: Any) -> Model:
    version, files = catalog.begin()
    (files / "model.txt").write_text(content)
    resource = {
        "modelReference": reference.resource(),
        "modelType": "ONNX",
        "creationTime": "1",
        "lastModifiedTime": "1",
        "location": "US",
        "trainingRuns": [{"trainingOptions": {"modelUri": "gs://b/m"}, **run}],
    }
    model = Model(reference, version, "ONNX", resource, files, SIGNATURE)
    catalog.commit(model, replacing=replacing)
    return model


def contents(catalog: ModelCatalog, reference: ModelReference) -> str:
    return (catalog.require(reference).files / "model.txt").read_text()


def test_models_survive_a_restart(tmp_path: Path) -> None:
    put(ModelCatalog(tmp_path, ManualClock()), ONE, "first")

    again = ModelCatalog(tmp_path, ManualClock())

    assert contents(again, ONE) == "first"
    assert again.require(ONE).signature == SIGNATURE
    assert [model["modelReference"]["modelId"] for model in again.list("p", "d")] == ["one"]


def test_replaced_and_unfinished_versions_are_deleted_at_the_next_start(tmp_path: Path) -> None:
    catalog = ModelCatalog(tmp_path, ManualClock())
    put(catalog, ONE, "first")
    put(catalog, ONE, "second")
    _, unfinished = catalog.begin()
    (unfinished / "model.txt").write_text("half")

    again = ModelCatalog(tmp_path, ManualClock())

    assert contents(again, ONE) == "second"
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_the_newer_of_two_versions_survives_a_crash(tmp_path: Path) -> None:
    catalog = ModelCatalog(tmp_path, ManualClock())
    first = put(catalog, ONE, "first")
    record = (first.files.parent / "model.json").read_text()
    put(catalog, ONE, "second")
    # The state after a crash between saving the new version and removing the old one.
    former = first.files.parent / "model.json"
    former.write_text(record)
    os.utime(former, (1, 1))

    for _ in range(2):
        assert contents(ModelCatalog(tmp_path, ManualClock()), ONE) == "second"
    assert not former.exists()


def test_concurrent_creations_of_one_name_create_one_model() -> None:
    catalog = ModelCatalog(None, ManualClock())
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def make(number: int) -> None:
        barrier.wait()
        try:
            put(catalog, ONE, str(number), replacing=False)
            outcomes.append("created")
        except QueryError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["created"] + ["duplicate"] * 7


def test_a_copy_is_independent_and_not_registered() -> None:
    catalog = ModelCatalog(None, ManualClock())
    put(catalog, ONE, "first", vertexAiModelId="titles")

    catalog.copy(ONE, OTHER, replacing=False, location="EU")
    catalog.delete("p", "d", "one")

    assert contents(catalog, OTHER) == "first"
    assert catalog.get("p", "d", "other")["location"] == "EU"
    assert catalog.get("p", "d", "other")["trainingRuns"] == [{"trainingOptions": {"modelUri": "gs://b/m"}}]
    with pytest.raises(QueryError, match=r"Already Exists: Model p:d\.other"):
        catalog.copy(OTHER, OTHER, replacing=False, location="EU")


def test_an_expired_model_does_not_exist() -> None:
    clock = ManualClock()
    catalog = ModelCatalog(None, clock)
    put(catalog, ONE, "first")
    catalog.patch("p", "d", "one", {"expirationTime": str(milliseconds(clock.now()) + 60_000)})

    clock.advance(59)
    assert catalog.find(ONE) is not None
    clock.advance(2)

    assert catalog.find(ONE) is None
    assert catalog.list("p", "d") == []


def test_version_numbers_in_the_registry_are_not_reused(tmp_path: Path) -> None:
    catalog = ModelCatalog(tmp_path, ManualClock())

    def version(reference: ModelReference) -> str:
        run: dict[str, str] = catalog.require(reference).resource["trainingRuns"][0]
        return run["vertexAiModelVersion"]

    put(catalog, ONE, "first", vertexAiModelId="titles")
    put(catalog, OTHER, "second", vertexAiModelId="titles")
    put(catalog, OTHER, "third", vertexAiModelId="titles")
    assert (version(ONE), version(OTHER)) == ("1", "3")

    catalog = ModelCatalog(tmp_path, ManualClock())
    put(catalog, ONE, "fourth", vertexAiModelId="titles")

    assert version(ONE) == "4"


def test_a_patch_changes_only_writable_fields() -> None:
    catalog = ModelCatalog(None, ManualClock())
    put(catalog, ONE, "first")
    before = catalog.get("p", "d", "one")["etag"]

    apply_patch = catalog.patch(
        "p",
        "d",
        "one",
        {
            "description": "text",
            "labels": {"a": "b"},
            "modelType": "XGBOOST",
            "trainingRuns": [{"vertexAiModelId": "t"}],
        },
    )

    assert (apply_patch["description"], apply_patch["labels"], apply_patch["modelType"]) == ("text", {"a": "b"}, "ONNX")
    assert apply_patch["trainingRuns"][0]["vertexAiModelId"] == "t"
    assert apply_patch["etag"] != before
    assert "description" not in catalog.patch("p", "d", "one", {"description": None})
    for labels in ({"A": "b"}, {"a": "B"}, {"": "b"}, {"1a": "b"}, {"a": "x" * 64}):
        with pytest.raises(QueryError, match="label"):
            catalog.patch("p", "d", "one", {"labels": labels})
    for body in ({"trainingRuns": {"vertexAiModelId": "t"}}, {"trainingRuns": ["t"]}, {"labels": ["a"]}):
        with pytest.raises(QueryError, match="Invalid JSON payload received"):
            catalog.patch("p", "d", "one", body)
