"""The output of a batch: no row of a table is lost, and nothing is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.world import REGION, World, fresh


def _uri(world: World, table: str) -> str:
    return f"bq://{world.project}.{world.regional}.{table}"


def _run(world: World, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, and return the data of the event with which it ends."""
    world.publish("BATCH_TOPIC", request)
    ends = ("batch.succeeded", "batch.partially_succeeded", "batch.failed", "request.rejected")
    found = world.until(
        lambda: [each for kind in ends for each in world.events.all(kind, request_id=request["request_id"])]
    )
    return {"type": found[0].type, **found[0].data}


def _prompts(world: World, *prompts: str) -> dict[str, Any]:
    rows = " UNION ALL ".join(f"SELECT {n} AS id, '{text}' AS prompt" for n, text in enumerate(prompts))
    return {"prompts": {"query": rows}}


def _own_tables(world: World, key: str) -> list[str]:
    return [each.table_id for each in world.bigquery.list_tables(world.regional) if key in each.table_id]


def test_a_table_that_has_rows_is_refused_unless_the_request_says_what_happens_to_them(world: World) -> None:
    table = fresh("customers")
    world.load(f"{world.regional}.{table}", [{"id": n, "note": "keep"} for n in range(3)])
    answer = world.post_batch(world.batch(table, fresh("r")))
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == ("output_not_empty", "output")
    # Rows that would not fit are refused before money is spent, too.
    output = {"table": _uri(world, table), "write": "append"}
    answer = world.post_batch(world.batch(table, fresh("r"), output=output))
    assert answer.json()["error"]["code"] == "missing_column"
    assert world.rows(f"{world.regional}.{table}") == [{"id": n, "note": "keep"} for n in range(3)]


@pytest.mark.long
def test_two_runs_of_a_request_with_append_keep_all_answers_and_leave_no_table(world: World) -> None:
    table = fresh("summaries")
    output = {"table": _uri(world, table), "write": "append"}
    for _ in range(2):
        ended = _run(world, world.batch(table, fresh("r"), output=output))
        assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
        assert ended["answers"] == ended["output"] == _uri(world, table)
        assert _own_tables(world, ended["key"]) == []
    assert sorted(row["id"] for row in world.rows(f"{world.regional}.{table}")) == [0, 0, 1, 1, 2, 2]


@pytest.mark.long
def test_truncate_replaces_the_rows_and_merge_those_of_the_same_key(world: World) -> None:
    table = fresh("answers")
    first = world.batch(table, fresh("r"), input=_prompts(world, "a", "b"))
    assert _run(world, first)["type"].endswith("succeeded.v1")
    merged = {"table": _uri(world, table), "write": "merge", "key": ["id"]}
    again = world.batch(table, fresh("r"), input=_prompts(world, "a", "x", "c"), output=merged)
    ended = _run(world, again)
    assert ended["type"].endswith("succeeded.v1"), ended["error"]
    rows = {row["id"]: row["request"] for row in world.rows(f"{world.regional}.{table}")}
    assert sorted(rows) == [0, 1, 2]
    assert '"x"' in rows[1]
    truncated = {"table": _uri(world, table), "write": "truncate"}
    _run(world, world.batch(table, fresh("r"), input=_prompts(world, "z"), output=truncated))
    assert ['"z"' in row["request"] for row in world.rows(f"{world.regional}.{table}")] == [True]


@pytest.mark.long
def test_a_merge_with_a_repeated_key_is_rejected_with_its_name_before_a_job_is_paid(world: World) -> None:
    table = fresh("answers")
    query = {"prompts": {"query": "SELECT 1 AS id, prompt FROM UNNEST(['a', 'b']) AS prompt"}}
    output = {"table": _uri(world, table), "write": "merge", "key": ["id"]}
    ended = _run(world, world.batch(table, fresh("r"), input=query, output=output))
    assert ended["type"].endswith("request.rejected.v1")
    assert (ended["error"]["code"], ended["error"]["field"]) == ("repeated_key", "output.key")
    assert "2 of 2 requests have the same key as another request (id)" in ended["error"]["message"]
    assert world.batches(ended["key"]) == []


@pytest.mark.long
def test_answers_that_could_not_be_moved_are_kept_and_moved_without_paying_again(world: World) -> None:
    table, name = fresh("answers"), fresh("r")
    assert world.post_batch(world.batch(table, name)).status_code == 202
    # Somebody writes the table after the batch has checked it.
    world.load(f"{world.regional}.{table}", [{"id": 7}])
    ends = ("batch.succeeded", "batch.failed", "request.rejected")
    ended = world.until(lambda: [each for kind in ends for each in world.events.all(kind, request_id=name)])[0]
    assert ended.type.endswith("batch.failed.v1")
    assert world.rows(f"{world.regional}.{table}") == [{"id": 7}]
    place = ended.data["answers"].removeprefix("bq://")
    assert len(world.rows(place.split(".", 1)[1])) == 3
    assert world.bigquery.get_table(place).expires is not None
    world.bigquery.delete_table(f"{world.regional}.{table}")
    assert world.post_batch({"action": "retry_failed_rows", "request_id": name}).status_code == 202
    world.until(lambda: world.ids("batch.succeeded", request_id=name))
    assert len(world.rows(f"{world.regional}.{table}")) == 3
    assert len(world.batches(ended.data["key"])) == 1


@pytest.mark.long
def test_a_table_that_another_open_batch_writes_is_refused_before_a_job_is_paid(world: World) -> None:
    table, first, second = fresh("answers"), fresh("r"), fresh("r")
    accepted = world.post_batch(world.batch(table, first)).json()
    refused = world.post_batch(world.batch(table, second))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "output_in_use")
    assert accepted["key"] in refused.json()["error"]["message"]
    world.until(lambda: world.ids("batch.succeeded", request_id=first))
    assert world.batches(refused.json()["key"]) == []


@pytest.mark.long
def test_without_an_output_the_answers_are_in_a_new_table_where_the_requests_are(world: World) -> None:
    name = fresh("r")
    request = world.batch_of_requests(name, name)
    del request["output"]
    ended = _run(world, request)
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    table = ended["answers"].removeprefix(f"bq://{world.project}.")
    assert table.startswith("gen_ai_batch_prediction.predictions_")
    assert len(world.rows(table)) == 3
    wanted = world.bigquery.get_dataset(world.regional).location
    assert world.bigquery.get_dataset("gen_ai_batch_prediction").location == wanted


@pytest.mark.long
def test_the_event_of_a_batch_says_what_failed_and_how_many_tokens_were_used(world: World) -> None:
    source, table = fresh("requests"), fresh("answers")
    good = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    # Only Vertex AI knows whether a file exists.
    file = {"fileData": {"fileUri": f"gs://{world.environment['OUTPUT_BUCKET']}/{table}.png", "mimeType": "image/png"}}
    bad = {"contents": [{"role": "user", "parts": [file]}]}
    rows = [{"id": n, "request": json.dumps(each)} for n, each in enumerate([good, bad, good, bad])]
    world.load(f"{world.regional}.{source}", rows)
    ended = _run(world, world.batch(table, fresh("r"), input=_uri(world, source)))
    assert ended["type"].endswith("batch.partially_succeeded.v1"), ended["error"]
    assert ended["counts"] == {"succeeded": 2, "failed": 2, "incomplete": 0}
    [failure] = ended["failures"]
    assert (failure["code"], failure["requests"]) == ("NOT_FOUND", 2)
    assert f"{table}.png" in failure["example"]
    assert ended["tokens"]["prompt"] > 0 and ended["tokens"]["answer"] > 0
    # All rows are in the output; the table of the job stays for a while.
    assert sorted(row["id"] for row in world.rows(f"{world.regional}.{table}")) == [0, 1, 2, 3]
    [kept] = _own_tables(world, ended["key"])
    assert world.bigquery.get_table(f"{world.regional}.{kept}").expires is not None


@pytest.mark.long
def test_requests_that_break_a_rule_are_rejected_before_a_job_is_paid(world: World) -> None:
    source, table = fresh("requests"), fresh("answers")
    requests = [{"contents": [{"parts": [{"text": "no role"}]}]}, {"contents": []}]
    world.load(f"{world.regional}.{source}", [{"request": json.dumps(each)} for each in requests])
    ended = _run(world, world.batch(table, fresh("r"), input=_uri(world, source)))
    assert ended["type"].endswith("request.rejected.v1")
    assert (ended["error"]["code"], ended["error"]["field"]) == ("no_contents", "input")
    assert "without a valid role" in ended["error"]["message"]
    assert world.batches(ended["key"]) == []


@pytest.mark.long
def test_a_dry_run_counts_the_requests_and_submits_nothing(world: World) -> None:
    table = fresh("answers")
    world.publish("BATCH_TOPIC", world.batch(table, table, dry_run=True))
    checked = world.event("batch.checked", request_id=table).data
    assert checked["check"] == {
        "requests": 3,
        "characters": 30,
        "files": 0,
        "answer_tokens": None,
        "input_tokens": 8,
        "jobs": 1,
        "input_cost": None,
        "answer_cost": None,
    }
    assert checked["answers"] is None
    assert world.batches(checked["key"]) == []
    assert _own_tables(world, checked["key"]) == []
    # The id is free for the request itself.
    ended = _run(world, world.batch(table, table))
    assert (ended["type"], ended["key"]) == ("modeldrop.batch.succeeded.v1", checked["key"])
    assert len(world.rows(f"{world.regional}.{table}")) == 3


@pytest.mark.long
def test_a_dry_run_of_a_file_answers_at_once(world: World) -> None:
    bucket, name = world.storage.bucket(world.environment["OUTPUT_BUCKET"]), fresh("dry")
    request = {"contents": [{"role": "user", "parts": [{"text": "12345678"}]}]}
    bucket.blob(f"{name}.jsonl").upload_from_string(json.dumps({"request": request}))
    answer = world.post_batch(world.batch(name, name, input=f"gs://{bucket.name}/{name}.jsonl", dry_run=True))
    body = answer.json()
    assert (answer.status_code, body["state"], body["job"]) == (202, "checked", None)
    assert (body["check"]["requests"], body["check"]["characters"], body["check"]["input_tokens"]) == (1, 8, 2)


@pytest.mark.long
def test_files_of_prompts_become_parts_of_their_requests(world: World) -> None:
    table, uri = fresh("answers"), f"gs://{world.environment['OUTPUT_BUCKET']}/{fresh('poster')}.png"
    world.storage.bucket(world.environment["OUTPUT_BUCKET"]).blob(uri.split("/", 3)[3]).upload_from_string(b"png")
    query = f"SELECT 1 AS id, '{uri}' AS poster, 'Describe it' AS prompt"
    ended = _run(world, world.batch(table, table, input={"prompts": {"query": query, "files": {"poster": None}}}))
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    [row] = world.rows(f"{world.regional}.{table}")
    [content] = json.loads(row["request"])["contents"]
    assert {"fileData": {"fileUri": uri, "mimeType": "image/png"}} in content["parts"]
    assert row["poster"] == uri


@pytest.mark.long
def test_all_files_with_a_prefix_are_answered_into_a_table(world: World) -> None:
    bucket, folder, table = world.storage.bucket(world.environment["OUTPUT_BUCKET"]), fresh("in"), fresh("answers")
    for name in ("a.jsonl", "b.jsonl"):
        request = {"contents": [{"role": "user", "parts": [{"text": name}]}]}
        bucket.blob(f"{folder}/{name}").upload_from_string(json.dumps({"request": request}))
    source = f"gs://{bucket.name}/{folder}/*.jsonl"
    ended = _run(world, world.batch(table, fresh("r"), input=source))
    assert ended["type"].endswith("batch.succeeded.v1"), ended["error"]
    assert ended["input_files"] == [f"gs://{bucket.name}/{folder}/{name}" for name in ("a.jsonl", "b.jsonl")]
    assert len(world.rows(f"{world.regional}.{table}")) == 2


def test_files_that_do_not_exist_and_answers_among_the_requests_are_refused_at_once(world: World) -> None:
    bucket, table = world.environment["OUTPUT_BUCKET"], fresh("answers")
    missing = world.post_batch(world.batch(table, fresh("r"), input=f"gs://{bucket}/{table}/no.jsonl"))
    nothing = world.post_batch(world.batch(table, fresh("r"), input=f"gs://{bucket}/{table}/"))
    nowhere = world.post_batch(world.batch(table, fresh("r"), input=f"gs://{fresh('no-bucket')}/x/"))
    no_bucket = world.post_batch(world.batch(table, fresh("r"), input=f"gs://{fresh('no-bucket')}/x.jsonl"))
    inside = world.post_batch(
        world.batch(table, fresh("r"), input=f"gs://{bucket}/{table}/", output=f"gs://{bucket}/{table}/out")
    )
    errors = [
        (answer.status_code, answer.json()["error"]["code"])
        for answer in (missing, nothing, nowhere, no_bucket, inside)
    ]
    assert errors == [
        (400, "no_such_file"),
        (400, "no_such_file"),
        (400, "no_such_bucket"),
        (400, "no_such_bucket"),
        (400, "output_is_input"),
    ]


def test_a_partition_of_a_table_without_partitions_is_refused_before_a_job_is_paid(world: World) -> None:
    table = fresh("days")
    answers = [world.post_batch(world.batch_of_requests(f"{table}$20261126", fresh("r")))]
    columns = "id INT64, request STRING, response STRING, status STRING"
    world.bigquery.query(f"CREATE TABLE {world.regional}.{table} ({columns})", location=REGION).result()
    answers.append(world.post_batch(world.batch_of_requests(f"{table}$20261126", fresh("r"))))
    errors = [answer.json()["error"] for answer in answers]
    assert [(error["code"], error["field"]) for error in errors] == [("no_partition", "output")] * 2
    assert ["does not exist" in errors[0]["message"], "is not partitioned" in errors[1]["message"]] == [True, True]


def _table_of_days(world: World) -> str:
    """Create a table of answers that is partitioned by its column ``day``; return its name."""
    table = fresh("days")
    columns = "id INT64, request STRING, response STRING, status STRING, day DATE"
    world.bigquery.query(
        f"CREATE TABLE {world.regional}.{table} ({columns}) PARTITION BY day", location=REGION
    ).result()
    return table


def test_a_partition_that_the_table_or_the_answers_do_not_have_is_refused(world: World) -> None:
    table = _table_of_days(world)
    answers = [world.post_batch(world.batch_of_requests(f"{table}${id_}", fresh("r"))) for id_ in ("2026", "20261126")]
    errors = [answer.json()["error"] for answer in answers]
    assert [(error["code"], error["field"]) for error in errors] == [
        ("no_partition", "output"),
        ("missing_column", "output"),
    ]
    assert f"write {world.project}.{world.regional}.{table}$20260131, for example" in errors[0]["message"]
    assert "partitioned by its column day, which the answers do not have" in errors[1]["message"]


@pytest.mark.long
def test_rows_that_the_output_does_not_take_are_refused_before_a_job_is_paid(world: World) -> None:
    table = _table_of_days(world)
    prompts = {"prompts": {"query": "SELECT 1 AS id, DATE '2026-11-25' AS day, 'Hello' AS prompt"}}
    ended = _run(world, world.batch(f"{table}$20261126", fresh("r"), input=prompts))
    assert ended["type"].endswith("request.rejected.v1")
    assert (ended["error"]["code"], ended["error"]["field"]) == ("wrong_partition", "output")
    assert ended["job"]["system"] == "bigquery"


def test_tables_that_are_only_read_with_a_filter_are_neither_read_nor_merged_into(world: World) -> None:
    table = fresh("days")
    columns = "id INT64, request STRING, response STRING, status STRING, day DATE"
    options = "PARTITION BY day OPTIONS (require_partition_filter = TRUE)"
    world.bigquery.query(f"CREATE TABLE {world.regional}.{table} ({columns}) {options}", location=REGION).result()
    merged = {"table": _uri(world, table), "write": "merge", "key": ["id"]}
    answers = [
        world.post_batch(world.batch(fresh("r"), fresh("r"), input=_uri(world, table))),
        world.post_batch(world.batch(table, fresh("r"), output=merged)),
    ]
    errors = [
        (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["field"]) for answer in answers
    ]
    assert errors == [(400, "filter_needed", "input"), (400, "filter_needed", "output")]


@pytest.mark.parametrize("write", ["append", "truncate"])
def test_an_output_that_is_the_input_or_a_table_behind_it_is_refused(world: World, write: str) -> None:
    name = fresh("source")
    world.load(f"{world.regional}.{name}", [{"id": 1, "request": "{}", "extra": "x"}])
    view = f"{world.regional}.{fresh('view')}"
    world.bigquery.query(f"CREATE VIEW {view} AS SELECT * FROM `{world.regional}.{name}`").result()
    output = {"table": _uri(world, name), "write": write}
    for source in (_uri(world, name), f"bq://{world.project}.{view}"):
        answer = world.post_batch(world.batch(name, fresh("r"), input=source, output=output))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "output_is_input")
    assert len(world.rows(f"{world.regional}.{name}")) == 1
