"""Wrong drops are answered by an event at once, and heal when they are put right."""

from __future__ import annotations

import pytest

from tests.e2e.world import World, fresh


@pytest.mark.long
def test_a_failed_drop_fails_its_prediction_at_once_and_heals_when_the_surplus_file_is_deleted(
    world: World,
) -> None:
    model = fresh("surplus")
    path = world.drop({**world.shifter(2), "modeldrop.yml": b"files: 5\n", "modeldrop.yaml": b"files: 5\n"}, model)
    failed = world.event("model.import_failed", path=path)
    assert "delete one" in failed.data["error"]["message"]

    request_id = fresh("early")
    world.ask(model, fresh("unwritten"), request_id)
    rejected = world.event("request.rejected", request_id=request_id)
    assert rejected.data["error"]["code"] == "drop_failed"
    assert "modeldrop.yaml and modeldrop.yml" in rejected.data["error"]["message"]

    world.models.blob(f"{world.dataset}/{model}/1/modeldrop.yml").delete()
    world.event("model.imported", path=path)
    assert world.shift_of(model) == 2


def test_a_drop_without_its_version_folder_is_reported(world: World) -> None:
    model = fresh("unversioned")
    folder = f"{world.dataset}/{model}"
    world.models.blob(f"{folder}/genres.onnx").upload_from_string(b"x")
    bucket = f"gs://{world.models.name}"
    ignored = world.event("object.ignored", folder=f"{bucket}/{folder}/")
    assert ignored.data["suggestion"] == f"{bucket}/{folder}/1/genres.onnx"


@pytest.mark.long
def test_a_dataset_in_another_case_is_corrected(world: World) -> None:
    path = world.drop(world.shifter(1), fresh("upper"), dataset=world.dataset.upper())
    failed = world.event("model.import_failed", path=path)
    assert f"did you mean {world.dataset}?" in failed.data["error"]["message"]


@pytest.mark.long
def test_a_drop_is_imported_when_its_missing_dataset_is_created(world: World) -> None:
    dataset = fresh("missing")
    path = world.drop(world.shifter(4), "genres", dataset=dataset)
    failed = world.event("model.import_failed", path=path)
    message = failed.data["error"]["message"]
    assert "When the dataset is there, the drop is imported within about 60 minutes" in message
    # The name of the topic is that of the deployment.
    assert message.endswith(f'publish {{"action": "import", "path": "{path}"}} to modeldrop-models')
    world.reconcile()
    assert world.pending() == set()

    world.make_dataset(dataset, "US")
    world.reconcile()
    world.event("model.imported", path=path)
    world.quiet()
    assert len(world.events.all(path=path)) == 2


def test_many_files_of_one_wrong_folder_are_one_event_and_few_calls(world: World) -> None:
    folder = f"{world.dataset}/{fresh('un-versioned')}/1"
    world.count_calls()
    for number in range(20):
        world.models.blob(f"{folder}/{number}.csv").upload_from_string(b"x")
    world.event("object.ignored", folder=f"gs://{world.models.name}/{folder}/")
    world.quiet()
    assert len(world.events.all("object.ignored", folder=f"gs://{world.models.name}/{folder}/")) == 1
    # The marker is read and written, and the event is published.
    assert len(world.calls("import_model")) <= 3


def test_a_drop_of_a_format_that_bigquery_does_not_import_fails_with_advice(world: World) -> None:
    path = world.drop({"model.keras": b"x"}, fresh("keras"))
    failed = world.event("model.import_failed", path=path)
    assert failed.data["error"]["code"] == "no_model_file"
    assert failed.data["found"] == [{"name": "model.keras", "size": 1}]
    assert "model.export" in failed.data["error"]["message"]
