"""The life of a model by messages alone: rolled back, unpinned, described, deleted, and imported again."""

from __future__ import annotations

import json

import pytest

from tests.e2e.model_deeds import import_version, manage, model_of, registered, registry_id_of, two_versions
from tests.e2e.world import World, fresh


def _import_again(world: World, name: str, version: str, request_id: str) -> None:
    path = f"gs://{world.models.name}/{world.dataset}/{name}/{version}/"
    world.publish("MODELS_TOPIC", {"action": "import", "path": path, "request_id": request_id})


@pytest.mark.long
def test_a_model_is_rolled_back_and_stays_until_it_is_unpinned(world: World) -> None:
    name = fresh("life")
    two_versions(world, name)
    manage(world, "rollback", name, f"{name}-back")
    event = world.event("model.rolled_back", request_id=f"{name}-back")
    assert (event.data["version"], event.data["replaced_version"]) == ("1", "2")
    assert world.shift_of(name) == 1

    _import_again(world, name, "2", f"{name}-too-soon")
    refused = world.event("model.import_failed", request_id=f"{name}-too-soon")
    assert refused.data["error"]["code"] == "superseded"
    assert "unpin the model" in refused.data["error"]["message"]
    assert world.shift_of(name) == 1

    manage(world, "unpin", name, f"{name}-unpin")
    world.event("model.unpinned", request_id=f"{name}-unpin")
    _import_again(world, name, "2", f"{name}-again")
    world.event("model.imported", request_id=f"{name}-again")
    assert world.shift_of(name) == 2


@pytest.mark.long
def test_a_model_is_described_and_deleted_and_imported_again(world: World) -> None:
    name = fresh("life")
    import_version(world, name, 1, description="adds one", labels={"team": "films"})
    world.ask(name, f"{name}_rows", f"{name}-prediction")
    world.event("prediction.succeeded", request_id=f"{name}-prediction")
    manage(world, "describe", name, f"{name}-describe")
    about = world.event("model.described", request_id=f"{name}-describe").data["description"]
    assert (about["text"], about["model_labels"], about["versions"]) == ("adds one", {"team": "films"}, ["1"])
    assert (about["current"]["version"], about["pinned"], about["registry"]) == ("1", None, None)
    [output] = about["output_columns"]
    assert (output["name"], output["type"], output["element"]) == ("y", "FLOAT64", "float32")
    assert about["last_prediction"]["output_table"] == f"{model_of(world, name)}_rows"
    assert about["last_prediction"]["outcome"] == "succeeded"
    assert (about["last_prediction"]["model_version"], about["last_prediction"]["error"]) == ("1", None)

    manage(world, "delete", name, f"{name}-delete")
    assert world.event("model.deleted", request_id=f"{name}-delete").data["model"] == model_of(world, name)
    assert world.shift_of(name) is None
    manage(world, "delete", name, f"{name}-twice")
    assert world.event("request.rejected", request_id=f"{name}-twice").data["error"]["code"] == "model_not_found"
    _import_again(world, name, "1", f"{name}-again")
    world.event("model.imported", request_id=f"{name}-again")
    assert world.shift_of(name) == 1


@pytest.mark.long
def test_a_model_is_registered_once_and_its_aliases_move(world: World) -> None:
    first, second = fresh("registered"), fresh("registered")
    registry_id = first.replace("-", "_")
    for name in (first, second):
        import_version(world, name, 1)
    manage(world, "set_aliases", first, f"{first}-too-soon", aliases=["champion"])
    assert world.event("request.rejected", request_id=f"{first}-too-soon").data["error"]["code"] == "not_registered"

    for number, name in enumerate((first, second), 1):
        manage(world, "register", name, f"{name}-register", id=registry_id, aliases=[f"v-{number}"])
        entry = world.event("model.registered", request_id=f"{name}-register").data["registry"]
        assert (entry["id"], entry["version"], entry["location"]) == (registry_id, str(number), "us-central1")
        assert f"v-{number}" in entry["aliases"]
    for name in (first, second):
        manage(world, "set_aliases", name, f"{name}-alias", aliases=["champion"])
        entry = world.event("model.registered", request_id=f"{name}-alias").data["registry"]
        assert "champion" in entry["aliases"]
    manage(world, "register", first, f"{first}-again", id=registry_id)
    assert "champion" not in world.event("model.registered", request_id=f"{first}-again").data["registry"]["aliases"]
    manage(world, "register", first, f"{first}-other", id="other")
    assert world.event("request.rejected", request_id=f"{first}-other").data["error"]["code"] == "registered_before"


@pytest.mark.long
def test_a_call_that_stalls_longer_than_its_lease_does_not_take_an_alias_back(world: World) -> None:
    older, newer = fresh("older"), fresh("newer")
    registry_id = older.replace("-", "_")
    for name in (older, newer):
        import_version(world, name, 1)
        manage(world, "register", name, f"{name}-register", id=registry_id)
        world.event("model.registered", request_id=f"{name}-register")
    # The last call before the alias is moved is answered after the lease.
    stall = {"caller": "manage_model", "method": "bigquery.models.get", "nth": 3, "do": {"delay_seconds": 8}}
    with world.faults(stall):
        manage(world, "set_aliases", older, f"{older}-alias", aliases=["champion"])
        world.event("model.registered", request_id=f"{older}-alias")
        assert world.faults_met() == [1]
        manage(world, "set_aliases", newer, f"{newer}-alias", aliases=["champion"])
        world.event("model.registered", request_id=f"{newer}-alias")
        world.delivered()
    manage(world, "register", newer, f"{newer}-again", id=registry_id)
    entry = world.event("model.registered", request_id=f"{newer}-again").data["registry"]
    assert "champion" in entry["aliases"]


@pytest.mark.long
def test_a_registered_model_stays_registered_under_its_id_when_a_drop_replaces_it(world: World) -> None:
    name = fresh("registered")
    registered(world, name)
    import_version(world, name, 2)
    manage(world, "describe", name, f"{name}-describe")
    about = world.event("model.described", request_id=f"{name}-describe").data["description"]
    assert (about["registry"]["id"], about["registry"]["version"]) == (registry_id_of(name), "2")

    manifest = json.dumps({"files": 5, "registry": {"id": "another"}}, indent=1).encode()
    world.drop({**world.shifter(3), "modeldrop.yaml": manifest}, name, "3")
    error = world.event("model.import_failed", model=model_of(world, name), version="3").data["error"]
    assert (error["code"], error["field"]) == ("registered_before", "modeldrop.yaml.registry.id")
    assert error["message"].endswith("(line 4 of modeldrop.yaml)")
    assert world.shift_of(name) == 2
