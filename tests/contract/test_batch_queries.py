"""The SQL of batches, run by the local BigQuery: the check of requests, requests from prompts, and parts of a table."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shared.batches.inputs.files import FileColumn
from shared.batches.inputs.parts import divide, part_count, requests_of_part
from shared.batches.inputs.rules import RULES, InputCheck, Requests
from shared.batches.inputs.tables import GOOD_CONTENTS, check_contents, check_requests, read_check
from shared.batches.request import Prompts
from shared.batches.statements import batch_requests
from shared.checks.identifiers import TableName, string_literal
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.unit.shared.batches.inputs.test_lines import GOOD, WRONG, asking

# The rules that only files are checked against: a query does not look at the values deep in a request.
NOT_IN_TABLES = {"no_request", "wrong_type", "wrong_enum", "out_of_range"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


def _table(world: BigQueryWorld, values: Sequence[object], kind: str = "STRING", name: str = "request") -> str:
    """Create a table of one column with these values, and return its quoted name."""
    table = f"{PROJECT}.d_{uuid.uuid4().hex[:12]}.requests"
    world.bigquery.tables.write(table, [{"name": name, "type": kind}], ({name: value} for value in values))
    return f"`{table}`"


def _check(world: BigQueryWorld, source: str, *, is_json: bool = False) -> InputCheck:
    return read_check(dict(row) for row in world.client().query_and_wait(check_requests(source, is_json=is_json)))


def _places(check: InputCheck) -> dict[str, tuple[str, ...]]:
    return {finding.rule: finding.places for finding in check.findings}


def test_each_broken_rule_of_a_table_is_found_with_its_rows(world: BigQueryWorld) -> None:
    wrong = [(rule, each) for rule, several in WRONG.items() if rule not in NOT_IN_TABLES for each in several]
    texts = [(rule, json.dumps(each)) for rule, each in wrong if "tools" not in each]
    texts += [("empty_request", None), ("empty_request", " "), ("not_json", "{"), ("not_an_object", "[1]")]
    check = _check(world, _table(world, [text for _, text in texts] + [json.dumps(each) for each in GOOD]))
    places: dict[str, tuple[str, ...]] = {}
    for number, (rule, _) in enumerate(texts, start=1):
        places[rule] = (*places.get(rule, ()), f"row {number}")
    assert _places(check) == places
    assert set(places) | NOT_IN_TABLES <= set(RULES)
    assert check.requests == len(texts) + len(GOOD)


def test_a_good_table_is_measured(world: BigQueryWorld) -> None:
    texts = [
        *GOOD,
        asking('"text":"\\\n é', generation_config={"max_output_tokens": 7}),
        asking(generationConfig={"maxOutputTokens": "5"}),
    ]
    source = _table(world, [json.dumps(each) for each in texts])
    check = _check(world, source)
    assert (check.findings, check.requests, check.characters, check.files) == ((), 9, 25 + 12 + 5, 2)
    assert check.answer_tokens is None
    limited = _check(world, f"(SELECT * FROM {source} WHERE request LIKE '%utput%')")
    assert (limited.requests, limited.answer_tokens) == (2, 12)


def test_requests_of_type_json_are_checked(world: BigQueryWorld) -> None:
    texts = [None if each is None else json.dumps(each) for each in (*GOOD, asking(""), None, [])]
    check = _check(world, _table(world, texts, "JSON"), is_json=True)
    assert {finding.rule for finding in check.findings} == {"empty_part", "empty_request", "not_an_object"}
    assert check.requests == len(GOOD) + 3


def test_a_table_without_requests_is_found(world: BigQueryWorld) -> None:
    assert _places(_check(world, f"(SELECT * FROM {_table(world, ['x'])} WHERE FALSE)")) == {"no_requests": ()}


def test_the_usual_requests_are_recognised_at_a_glance(world: BigQueryWorld) -> None:
    usual = [json.dumps(each["contents"], separators=(",", ":")) for each in (GOOD[0], GOOD[2])]
    both = ", ".join(map(string_literal, usual))
    pattern = string_literal(GOOD_CONTENTS)
    assert world.rows(f"SELECT LOGICAL_AND(REGEXP_CONTAINS(c, {pattern})) FROM UNNEST([{both}]) AS c") == [(True,)]


def test_texts_to_embed_are_checked(world: BigQueryWorld) -> None:
    rows = world.client().query_and_wait(check_contents(_table(world, ["abc", "", None, "de"], name="content")))
    check = read_check((dict(row) for row in rows), Requests.TEXT_EMBEDDING)
    assert (_places(check), check.requests, check.characters) == ({"no_content": ("row 2", "row 3")}, 4, 5)


# Requests from prompts

FILES = (
    FileColumn("poster"),
    FileColumn("scan", mime_type="application/pdf"),
    FileColumn("sound", mime_column="kind"),
    FileColumn("pages"),
)
ROWS = [
    ("'a'", "'gs://b/p.PNG'", "NULL", "NULL", "NULL", "[]"),
    ("'b'", "NULL", "'gs://b/s'", "'gs://b/x'", "'audio/mp3'", "['gs://b/1.jpg', '', 'gs://b/2.jpeg']"),
    ("'c'", "'https://youtu.be/x'", "''", "'gs://b/x'", "NULL", "NULL"),
    ("'d'", "'gs://b/p.xyz'", "NULL", "NULL", "NULL", "NULL"),
    ("NULL", "NULL", "NULL", "NULL", "NULL", "NULL"),
]


def prompts_query(rows: Sequence[Sequence[str]]) -> str:
    """Return a query of these rows."""
    kinds = ("STRING", "STRING", "STRING", "STRING", "STRING", "ARRAY<STRING>")
    names = ("prompt", "poster", "scan", "sound", "kind", "pages")
    return "\nUNION ALL\n".join(
        f"SELECT {number} AS id, "
        + ", ".join(f"CAST({value} AS {kind}) AS {name}" for value, kind, name in zip(row, kinds, names, strict=True))
        for number, row in enumerate(rows)
    )


def _requests(world: BigQueryWorld, sql: str) -> list[dict[str, Any]]:
    return [json.loads(row["request"]) for row in world.client().query_and_wait(f"SELECT * FROM ({sql}) ORDER BY id")]


def test_files_become_parts_after_the_prompt(world: BigQueryWorld) -> None:
    prompts = Prompts(prompts_query(ROWS), "Be kind", '{"temperature": 0.5}')
    parts = [
        request["contents"][0]["parts"]
        for request in _requests(world, batch_requests(prompts, ["id"], FILES, {"pages"}))
    ]
    assert [each[0]["text"] for each in parts] == ["a", "b", "c", "d", None]
    files = [[(part["fileData"]["fileUri"], part["fileData"]["mimeType"]) for part in each[1:]] for each in parts]
    assert files == [
        [("gs://b/p.PNG", "image/png")],
        [
            ("gs://b/s", "application/pdf"),
            ("gs://b/x", "audio/mp3"),
            ("gs://b/1.jpg", "image/jpeg"),
            ("gs://b/2.jpeg", "image/jpeg"),
        ],
        [("https://youtu.be/x", "video/mp4"), ("gs://b/x", None)],
        [("gs://b/p.xyz", None)],
        [],
    ]


def test_files_of_an_unknown_type_and_missing_prompts_are_found_before_submission(world: BigQueryWorld) -> None:
    sql = batch_requests(Prompts(prompts_query(ROWS), None, None), ["id"], FILES, {"pages"})
    check = _check(world, f"(\n{sql}\n)")
    assert {finding.rule: finding.count for finding in check.findings} == {"no_mime_type": 2, "empty_part": 1}
    assert (check.requests, check.files) == (5, 8)


def test_a_prompt_may_be_json(world: BigQueryWorld) -> None:
    query = """SELECT 1 AS id, JSON '"é"' AS prompt UNION ALL SELECT 2, JSON '{"a": 1}'"""
    requests = _requests(world, batch_requests(Prompts(query, None, None), ["id"]))
    assert [each["contents"][0]["parts"] for each in requests] == [[{"text": "é"}], [{"text": '{"a":1}'}]]


# Parts


def test_every_request_is_in_one_part(world: BigQueryWorld) -> None:
    divided = TableName(PROJECT, world.dataset(), "divided")
    source = "(SELECT n AS id, 'x' AS request FROM UNNEST(GENERATE_ARRAY(1, 2000)) AS n)"
    world.rows(divide(source, divided, 3))
    parts = [world.rows(requests_of_part(divided, part)) for part in range(3)]
    assert Counter(row for part in parts for row in part) == Counter((n, "x") for n in range(1, 2001))
    assert all(500 < len(part) < 850 for part in parts)


@pytest.mark.parametrize(
    ("requests", "parts"), [(0, 1), (1, 1), (200_000, 1), (200_001, 2), (380_001, 3), (1_900_000, 10)]
)
def test_parts_have_room_for_chance(requests: int, parts: int) -> None:
    assert part_count(requests) == parts
