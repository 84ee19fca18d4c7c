"""Typed results: answers become rows of typed columns, in a table that nothing else is lost from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.world import World, fresh

pytestmark = pytest.mark.long

FILM = {
    "type": "OBJECT",
    "properties": {"title": {"type": "STRING"}, "year": {"type": "INTEGER"}, "good": {"type": "BOOLEAN"}},
    "required": ["title", "year", "good"],
}


def _request(world: World, results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    query = "SELECT id, CONCAT('Film ', CAST(id AS STRING)) AS prompt FROM UNNEST([1, 2, 3]) AS id"
    prompts = {"prompts": {"query": query}, "response_schema": FILM}
    return world.batch(fresh("answers"), fresh("r"), **{"input": prompts, "results": results, **changes})


def test_answers_to_a_response_schema_become_typed_columns(world: World) -> None:
    table = fresh("films")
    request = _request(world, {"table": f"{world.regional}.{table}"})
    world.publish("BATCH_TOPIC", request)
    ended = world.event("batch.succeeded", request_id=request["request_id"]).data
    assert ended["results"] == f"bq://{world.project}.{world.regional}.{table}"
    rows = world.rows(f"{world.regional}.{table}")
    assert sorted(row["id"] for row in rows) == [1, 2, 3]
    for row in rows:
        assert [type(row[name]) for name in ("status", "title", "year", "good")] == [str, str, int, bool]
        assert row["status"] == ""
    # A second run would add nothing that the request did not ask for.
    again = world.post_batch(_request(world, {"table": f"{world.regional}.{table}"}))
    assert (again.json()["error"]["code"], again.json()["error"]["field"]) == ("output_not_empty", "results.table")


def test_results_that_cannot_be_written_are_refused_at_once(world: World) -> None:
    table = f"{world.regional}.{fresh('films')}"
    columns = {"id": "INT64 $.id"}
    answers = fresh("answers")
    for results, changes, code in (
        ({"table": table, "columns": columns}, {}, "duplicate_column"),
        ({"table": f"{world.dataset}.films"}, {}, "wrong_location"),
        (
            {"table": f"{world.regional}.{answers}"},
            {"output": f"bq://{world.project}.{world.regional}.{answers}"},
            "output_is_input",
        ),
        # The answers are loaded where the results are.
        ({"table": "nowhere.films"}, {"output": f"gs://{world.environment['OUTPUT_BUCKET']}/x"}, "notFound"),
    ):
        refused = world.post_batch(_request(world, results, **changes))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code), refused.json()
