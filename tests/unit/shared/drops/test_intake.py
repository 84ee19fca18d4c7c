"""Intake: what becomes of a drop's files, from the first one to the import.

The drops that are imported here are refused before BigQuery is called: they hold two models, or a dataset is not allowed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from shared.drops.drop import DropPath
from shared.drops.imports import planning
from shared.drops.imports.turns import ModelRecords
from shared.drops.intake import examine_drop, import_again, notice_deletion, notice_file
from shared.drops.watches import Sender, facts_of, request_of
from shared.errors import Rejected
from shared.events.incoming import StoredObject
from shared.poller.ticks import tick
from shared.work import Outcome, WaitReason
from shared.work_facts import ImportRequest, ModelColumn, ModelSignature, ModelVersion
from tests.model_files import field, graph, onnx_file
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
SETTLED = 30.0
SENDER = Sender("message-1", "message-1", "again-1", {"team": "films"})
TWO_MODELS = ("a.onnx", "b.onnx")


def notice(world: World, name: str, *, created: datetime | None = None) -> None:
    """Let the event of a file arrive."""
    bucket = world.services.settings.model_bucket
    file = StoredObject(bucket, PATH.prefix + name, 1, created or world.services.now())
    notice_file(PATH, file, world.services)


def examine(world: World) -> None:
    """Examine the drop as the poller does."""
    examine_drop(PATH, world.watch_of(PATH), world.services)


def test_the_first_file_of_a_drop_opens_a_watch(world: World) -> None:
    world.upload(PATH, "variables/variables.index")
    notice(world, "variables/variables.index")
    watch = world.watch_of(PATH)
    assert watch is not None
    assert (watch.waits_for, watch.outcome, watch.claim) == (WaitReason.SETTLING, None, None)
    assert facts_of(watch).missing == ("saved_model.pb",)
    assert world.indexed() == {PATH.key}


def test_another_file_of_a_watched_drop_is_left_to_the_poller(world: World) -> None:
    world.upload(PATH, "variables/variables.index")
    notice(world, "variables/variables.index")
    before = world.watch_of(PATH)
    world.pass_time(SETTLED)
    world.upload(PATH, *TWO_MODELS)
    notice(world, TWO_MODELS[0])
    after = world.watch_of(PATH)
    assert before is not None and after is not None
    assert (after, after.generation) == (before, before.generation)


@pytest.mark.parametrize("name", ["modeldrop.yaml", "modeldrop.yml"])
def test_a_manifest_that_arrives_later_names_the_watched_model(world: World, name: str) -> None:
    world.upload(PATH, "variables/variables.index")
    notice(world, "variables/variables.index")
    world.upload(PATH, name, content=b"target: other.model")
    notice(world, name)
    watch = world.watch_of(PATH)
    assert watch is not None
    assert request_of(watch).model == "local-project.other.model"


def test_a_drop_with_all_its_counted_files_need_not_settle(world: World) -> None:
    world.configure(writable_datasets=("others",))
    world.upload(PATH, "modeldrop.yaml", content=b"files: 1")
    world.upload(PATH, "genres.onnx")
    notice(world, "modeldrop.yaml")
    [item] = world.imports()
    assert item.problem is not None and item.problem.code == "dataset_not_allowed"


def test_files_before_the_manifest_that_counts_them_are_not_forgotten(world: World) -> None:
    world.configure(writable_datasets=("others",))
    world.upload(PATH, "genres.onnx")
    notice(world, "genres.onnx")
    assert world.imports() == []
    world.upload(PATH, "modeldrop.yaml", content=b"files: 1")
    notice(world, "modeldrop.yaml")
    assert len(world.imports()) == 1


def test_a_wrong_drop_that_has_not_settled_is_watched(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    notice(world, TWO_MODELS[0])
    assert world.imports() == []
    assert world.published() == []


def test_a_wrong_drop_that_has_settled_fails_with_its_reason(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    notice(world, TWO_MODELS[0])
    [event] = world.published()
    assert event["type"] == "modeldrop.model.import_failed.v1"
    assert event["error"]["code"] == "several_models"
    assert event["path"] == PATH.uri(world.services.settings.model_bucket)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("modeldrop.yaml", "modeldrop.yml"), "the drop holds modeldrop.yaml and modeldrop.yml: delete one"),
        (("Modeldrop.yaml",), "Modeldrop.yaml is not read: did you mean modeldrop.yaml?"),
        (("modeldrop.YML",), "did you mean modeldrop.yaml?"),
        (("model-drop.yaml",), "did you mean modeldrop.yaml?"),
        (("modeldrop.yaml.txt",), "did you mean modeldrop.yaml?"),
        (("modeldrop.json",), "did you mean modeldrop.yaml?"),
    ],
)
def test_a_manifest_that_would_not_be_read_is_refused(world: World, names: tuple[str, ...], text: str) -> None:
    world.upload(PATH, "genres.onnx", *names, content=b"{}")
    world.pass_time(SETTLED)
    notice(world, "genres.onnx")
    [event] = world.published()
    assert event["error"]["code"] == "invalid_manifest"
    assert text in event["error"]["message"]


def test_a_failed_drop_heals_when_a_surplus_file_is_deleted(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    world.models.blob(PATH.prefix + TWO_MODELS[1]).delete()
    notice_deletion(PATH, world.services)
    assert world.indexed() == {PATH.key}
    world.configure(writable_datasets=("others",))
    world.pass_time(SETTLED)
    tick(world.services)
    assert {item.request.path for item in world.imports()} == {PATH.uri(world.services.settings.model_bucket)}
    assert len(world.imports()) == 2


def test_a_failed_drop_that_is_deleted_file_by_file_fails_once(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    for name in TWO_MODELS:
        world.models.blob(PATH.prefix + name).delete()
        notice_deletion(PATH, world.services)
    world.pass_time(SETTLED)
    tick(world.services)
    assert len(world.published()) == 1
    assert world.indexed() == set()


@pytest.mark.parametrize("is_watched", [False, True])
def test_the_deletion_of_a_file_of_a_drop_that_has_not_failed_changes_nothing(world: World, is_watched: bool) -> None:
    if is_watched:
        world.upload(PATH, "variables/variables.index")
        notice(world, "variables/variables.index")
    before = world.watch_of(PATH)
    notice_deletion(PATH, world.services)
    assert world.watch_of(PATH) == before
    assert len(world.indexed()) == is_watched


def test_a_drop_with_two_manifests_heals_when_one_is_deleted(world: World) -> None:
    world.upload(PATH, *TWO_MODELS, "modeldrop.yaml", "modeldrop.yml", content=b"{}")
    world.pass_time(SETTLED)
    examine(world)
    world.models.blob(f"{PATH.prefix}modeldrop.yml").delete()
    examine(world)
    assert [event["error"]["code"] for event in world.published()] == ["invalid_manifest", "several_models"]


def test_a_watch_ends_when_its_drop_is_imported(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    notice(world, TWO_MODELS[0])
    world.pass_time(SETTLED)
    examine(world)
    watch = world.watch_of(PATH)
    assert watch is not None
    assert watch.final
    assert watch.outcome is Outcome.SETTLED
    assert [item.outcome for item in world.imports()] == [Outcome.FAILED]
    assert world.indexed() == set()


def test_a_drop_that_was_imported_is_not_imported_again(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    world.published()
    examine(world)
    notice(world, TWO_MODELS[0])
    assert world.published() == []
    assert len(world.imports()) == 1


def test_a_late_event_of_an_imported_file_does_not_open_a_watch(world: World) -> None:
    uploaded = world.services.now()
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    notice(world, TWO_MODELS[1], created=uploaded)
    watch = world.watch_of(PATH)
    assert watch is not None
    assert watch.final


def test_a_changed_drop_is_watched_and_imported_again(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    world.upload(PATH, TWO_MODELS[0], content=b"changed")
    notice(world, TWO_MODELS[0])
    assert world.indexed() == {PATH.key}
    world.pass_time(SETTLED)
    examine(world)
    assert len(world.imports()) == 2


def test_a_model_that_bigquery_would_refuse_fails_before_a_job_and_heals_when_it_is_replaced(world: World) -> None:
    world.configure(writable_datasets=("others",))
    world.upload(PATH, "genres.onnx", content=onnx_file(ir=10))
    world.pass_time(SETTLED)
    examine(world)
    [event] = world.published()
    assert event["type"] == "modeldrop.model.import_failed.v1"
    assert (event["error"]["code"], event["job"]) == ("unsupported_version", None)
    assert "has IR version 10" in event["error"]["message"]
    world.upload(PATH, "genres.onnx")
    world.pass_time(SETTLED)
    examine(world)
    assert {item.problem.code for item in world.imports() if item.problem} == {
        "unsupported_version",
        "dataset_not_allowed",
    }


def test_a_model_that_is_ready_is_stored_with_the_columns_that_its_file_has(world: World) -> None:
    world.configure(writable_datasets=("others",))
    world.upload(PATH, "genres.onnx")
    world.pass_time(SETTLED)
    examine(world)
    [item] = world.imports()
    assert isinstance(item.request, ImportRequest)
    assert item.request.signature == ModelSignature(
        "ONNX",
        (ModelColumn("x", "ARRAY<FLOAT64>", "float32", (None, 4)),),
        (ModelColumn("y", "ARRAY<FLOAT64>", "float32", (None, 4)),),
    )


def test_a_watch_ends_when_the_files_of_its_drop_are_deleted(world: World) -> None:
    world.upload(PATH, "genres.onnx")
    notice(world, "genres.onnx")
    world.models.blob(PATH.prefix + "genres.onnx").delete()
    examine(world)
    watch = world.watch_of(PATH)
    assert watch is not None
    assert (watch.outcome, watch.final) == (Outcome.GONE, True)
    assert world.indexed() == set()


def test_an_event_of_a_folder_without_files_is_ignored(world: World) -> None:
    notice(world, "genres.onnx")
    assert world.watch_of(PATH) is None
    assert world.indexed() == set()


def test_a_requested_import_of_a_drop_that_has_failed_is_the_next_attempt(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    examine(world)
    import_again(PATH, SENDER, world.services)
    [item] = world.imports()
    assert (item.run, item.sources) == (2, ("message-1",))
    assert len(world.published()) == 2


def test_a_requested_import_that_is_delivered_again_is_done_once(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    import_again(PATH, SENDER, world.services)
    import_again(PATH, SENDER, world.services)
    assert [item.run for item in world.imports()] == [1]


def test_a_requested_import_of_a_drop_that_has_not_settled_is_watched(world: World) -> None:
    world.upload(PATH, "genres.onnx")
    import_again(PATH, SENDER, world.services)
    assert world.imports() == []
    assert world.indexed() == {PATH.key}


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("is_settled", [False, True])
def test_the_event_of_a_requested_import_has_the_ids_and_labels_of_its_message(
    world: World, is_watched: bool, is_settled: bool
) -> None:
    world.upload(PATH, *TWO_MODELS)
    if is_watched:
        notice(world, TWO_MODELS[0])
    if is_settled:
        world.pass_time(SETTLED)
    import_again(PATH, SENDER, world.services)
    world.pass_time(SETTLED)
    tick(world.services)
    [event] = world.published()
    assert (event["message_id"], event["request_id"], event["labels"]) == ("message-1", "again-1", {"team": "films"})


def test_an_import_that_nobody_requested_has_no_ids_of_an_earlier_request(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    import_again(PATH, SENDER, world.services)
    world.pass_time(SETTLED)
    tick(world.services)
    world.published()
    world.upload(PATH, "c.onnx")
    notice(world, "c.onnx")
    world.pass_time(SETTLED)
    tick(world.services)
    [event] = world.published()
    assert (event["message_id"], event["request_id"], event["labels"]) == (None, None, {})


def test_a_requested_import_of_an_imported_drop_is_answered_with_the_ids_of_its_message(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    import_again(PATH, Sender("message-0", "message-0"), world.services)
    [item] = world.imports()
    world.services.ledger.write(replace(item, outcome=Outcome.SUCCEEDED, problem=None))
    model, records = planning.target_of(item, world.services), ModelRecords(world.services)
    records.take_turn(model, PATH.version, item.key)
    records.leave_turn(model, item.key, ModelVersion(PATH.version, planning.request_of(item).fingerprint))
    world.published()
    import_again(PATH, SENDER, world.services)
    [event] = world.published()
    assert event["type"] == "modeldrop.model.imported.v1"
    assert (event["message_id"], event["request_id"], event["labels"]) == ("message-1", "again-1", {"team": "films"})


def test_a_requested_import_without_a_drop_is_rejected(world: World) -> None:
    with pytest.raises(Rejected, match="there is no drop in films/genres/2/") as refusal:
        import_again(PATH, SENDER, world.services)
    assert (refusal.value.problem.code, refusal.value.problem.field) == ("not_found", "path")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"saved_model.pb": b"".join(field(2, field(6, field(2, b"%d" % n))) for n in range(1001))}, "too_large"),
        ({"saved_model.pb": b"\xff" * 100}, "wrong_format"),
        ({"saved_model.pb": graph(), "saved_model.pb/x": b""}, "wrong_name"),
        ({"saved_model.pb": graph(), "assets/a\0b": b""}, "wrong_name"),
        ({"saved_model.pb": graph(), f"assets/{'x' * 300}": b""}, "wrong_name"),
        ({"genres.onnx": b"", "modeldrop.yaml": b"files: 1\nfiles: 2"}, "invalid_manifest"),
    ],
)
def test_a_drop_that_exceeds_a_limit_fails_once_with_an_event(world: World, files: dict[str, bytes], code: str) -> None:
    for name, content in files.items():
        world.upload(PATH, name, content=content)
        notice(world, name)
    for _ in range(3):
        world.pass_time(SETTLED)
        examine(world)
    [event] = world.published()
    assert (event["type"], event["error"]["code"]) == ("modeldrop.model.import_failed.v1", code)
    assert world.indexed() == set()
