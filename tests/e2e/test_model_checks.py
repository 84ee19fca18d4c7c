"""The check of a drop: only a model that passes it replaces the one in use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.world import SHIFTED_TABLE, World, fresh, shifted


def _drop(world: World, name: str, version: str, shift: int, check: dict[str, Any]) -> None:
    manifest = json.dumps({"files": 5, "check": check}).encode()
    world.drop({**world.shifter(shift), "modeldrop.yaml": manifest}, name, version)


@pytest.mark.long
def test_a_drop_that_fails_its_check_leaves_the_model_in_use(world: World) -> None:
    name = fresh("checked")
    model = f"{world.project}.{world.dataset}.{name}"
    numbers = f"{world.dataset}.{SHIFTED_TABLE}"
    checks: list[tuple[int, dict[str, Any], str | None]] = [
        (5, {"query": f"SELECT x, x + 5 AS expected_y FROM {numbers}"}, None),
        (6, {"query": f"SELECT x, x + 5 AS expected_y FROM {numbers}"}, "in 10 of 10 rows the output y"),
        (6, {"rows": [{"input": {"x": 1}, "expected": {"y": 6}}]}, "One is 7 instead of 6"),
        (6, {"query": f"SELECT x FROM {numbers}", "metric": "MAX(y - x)", "at_most": 5.5}, "the metric is 6"),
        (6, {"query": "SELECT nothing FROM nowhere.t"}, "nowhere"),
        (6, {"query": f"SELECT x FROM {numbers}"}, "no column expected_"),
    ]
    for version, (shift, check, advice) in enumerate(checks, 1):
        _drop(world, name, str(version), shift, check)
        if advice is None:
            event = world.event("model.imported", model=model, version=str(version))
            assert event.data["check"] == {"rows": 10, "wrong_rows": 0, "value": None}
        else:
            event = world.event("model.check_failed", model=model, version=str(version))
            assert advice in event.data["error"]["message"]
            assert event.data["error"]["field"].startswith("modeldrop.yaml.check")
    assert world.shift_of(name) == 5
    models = [each.model_id for each in world.bigquery.list_models(world.dataset)]
    assert [each for each in models if each.startswith(name)] == [name]

    _drop(world, name, "9", 6, {"rows": [{"input": {"x": 1}, "expected": {"y": 7.01}}], "tolerance": 0.02})
    world.event("model.imported", model=model, version="9")
    assert world.shift_of(name) == 6


@pytest.mark.long
def test_the_prediction_of_a_drop_runs_after_each_import(world: World) -> None:
    name = fresh("predicting")
    prediction = {
        "input": {"table": f"{world.dataset}.{SHIFTED_TABLE}"},
        "output": {"table": f"{world.dataset}.{name}_rows", "write": "truncate"},
        "columns": {"keep": ["x", "y"]},
    }
    for version, shift in (("1", 3), ("2", 4)):
        manifest = json.dumps({"files": 5, "predict": prediction}).encode()
        world.drop({**world.shifter(shift), "modeldrop.yaml": manifest}, name, version)
        event = world.event(
            "prediction.succeeded", model=f"{world.project}.{world.dataset}.{name}", model_version=version
        )
        assert event.data["request_id"].startswith("import-")
        assert shifted(world.rows(f"{world.dataset}.{name}_rows")) == {shift}


@pytest.mark.long
def test_a_drop_without_files_becomes_a_remote_model_that_predicts(world: World) -> None:
    name = fresh("remote")
    remote = {"connection": "us.gemini_conn", "endpoint": "gemini-3.8-flash"}
    prediction = {
        "function": "AI.GENERATE_TEXT",
        "input": {"query": "SELECT 'What is this?' AS prompt"},
        "output": {"table": f"{world.dataset}.{name}_rows"},
        "columns": {"keep": ["result", "status"]},
    }
    world.drop({"modeldrop.yaml": json.dumps({"remote": remote, "predict": prediction}).encode()}, name)
    model = f"{world.project}.{world.dataset}.{name}"
    world.event("model.imported", model=model)
    world.event("prediction.succeeded", model=model)
    [row] = world.rows(f"{world.dataset}.{name}_rows")
    assert row["result"]
    assert row["status"] == ""
