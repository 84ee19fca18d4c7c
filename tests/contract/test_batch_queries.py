"""The SQL of batches, run by the local BigQuery: checks, requests from prompts, parts of a table, typed results, merges."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import pytest

from shared.batches.answers.answers import AnswerTable
from shared.batches.answers.moving import move_query
from shared.batches.inputs.files import FileColumn
from shared.batches.inputs.fitting import misfit_of
from shared.batches.inputs.lines import check_lines
from shared.batches.inputs.parts import divide, part_count, requests_of_part
from shared.batches.inputs.rules import RULES, InputCheck, Requests
from shared.batches.inputs.tables import GOOD_CONTENTS, check_contents, check_requests, read_check
from shared.batches.request import Output, Prompts
from shared.batches.statements import batch_requests
from shared.batches.typed.flattening import flatten
from shared.batches.typed.results import ResultColumn, columns_of_schema
from shared.checks.identifiers import TableName, string_literal
from shared.cloud.tables import Partitioning, TableFacts
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.unit.shared.batches.inputs.test_lines import GOOD, WRONG, as_file, asking

# The rules that only files are checked against.
NOT_IN_TABLES = {"no_request"}


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


@pytest.mark.long
def test_each_broken_rule_of_a_table_is_found_with_its_rows(world: BigQueryWorld) -> None:
    wrong = [(rule, each) for rule, several in WRONG.items() if rule not in NOT_IN_TABLES for each in several]
    wrong.append(("unknown_field", {"contents": [{"role": "user", "name": "x", "parts": [{"text": "x"}]}]}))
    wrong.append(("unknown_field", {"contents": [{"role": "user", "parts": [{"text": "x", "txt": "y"}]}]}))
    texts = [(rule, json.dumps(each)) for rule, each in wrong]
    texts += [("empty_request", None), ("empty_request", " "), ("not_json", "{"), ("not_an_object", "[1]")]
    check = _check(world, _table(world, [text for _, text in texts] + [json.dumps(each) for each in GOOD]))
    found: dict[str, list[str]] = {}
    for finding in check.findings:
        found.setdefault(finding.rule, []).extend(finding.places)
    places: dict[str, list[str]] = {}
    for number, (rule, _) in enumerate(texts, start=1):
        places.setdefault(rule, []).append(f"row {number}")
    assert {rule: sorted(each) for rule, each in found.items()} == {rule: sorted(each) for rule, each in places.items()}
    assert set(places) | NOT_IN_TABLES <= set(RULES)
    assert check.requests == len(texts) + len(GOOD)


@pytest.mark.long
def test_a_table_is_checked_for_the_key_of_a_merge(world: BigQueryWorld) -> None:
    request = string_literal(json.dumps(asking()))
    rows = " UNION ALL ".join(
        f"SELECT {id_} AS id, '{n}' AS n" for id_, n in [(1, "a"), (1, "b"), ("NULL", "c"), (1, "a")]
    )
    source = f"(SELECT *, {request} AS request FROM ({rows}))"
    sql = check_requests(source, is_json=False, key=("n", "ID"))
    check = read_check((dict(row) for row in world.client().query_and_wait(sql)), key=("n", "ID"))
    assert {(each.rule, each.count, each.hint) for each in check.findings} == {
        ("repeated_key", 2, "n, ID"),
        ("no_key", 1, "n, ID"),
    }
    assert check.requests == 4
    problem = check.problem("input")
    assert problem is not None and problem.field == "output.key"


_DAYS = [{"name": "day", "type": "DATE"}]
# The output, how it is partitioned, its columns, a value that it takes and others with the rule that they break.
MISFITS: list[tuple[str, Partitioning | None, list[dict[str, Any]], str, dict[str, str]]] = [
    (
        "t$20260101",
        Partitioning("DAY", "Day"),
        _DAYS,
        "DATE '2026-01-01'",
        {"DATE '2026-01-02'": "wrong_partition", "CAST(NULL AS DATE)": "wrong_partition"},
    ),
    ("t$202601", Partitioning("MONTH", "day"), _DAYS, "DATE '2026-01-31'", {"DATE '2026-02-01'": "wrong_partition"}),
    (
        "t$2026010107",
        Partitioning("HOUR", "day"),
        [{"name": "day", "type": "TIMESTAMP"}],
        "TIMESTAMP '2026-01-01 07:59:59+00'",
        {"TIMESTAMP '2026-01-01 08:00:00+00'": "wrong_partition"},
    ),
    (
        "t$10",
        Partitioning("RANGE", "day", range(0, 100, 10)),
        [{"name": "day", "type": "INTEGER"}],
        "19",
        {"20": "wrong_partition", "CAST(NULL AS INT64)": "wrong_partition"},
    ),
    ("t", None, [{"name": "day", "type": "STRING", "maxLength": "2"}], "'éé'", {"'abc'": "long_value"}),
    ("t", None, [{"name": "day", "type": "STRING", "mode": "REQUIRED"}], "''", {"CAST(NULL AS STRING)": "null_value"}),
]


@pytest.mark.parametrize(("table", "partitioning", "columns", "right", "wrong"), MISFITS)
def test_rows_that_the_output_does_not_take_are_found(
    world: BigQueryWorld,
    table: str,
    partitioning: Partitioning | None,
    columns: list[dict[str, Any]],
    right: str,
    wrong: dict[str, str],
) -> None:
    existing = TableFacts("TABLE", 0, tuple(columns), partitioning)
    misfit = misfit_of(TableName("p", "d", table), existing, [{**columns[0], "name": "day"}])
    rows = " UNION ALL ".join(f"SELECT {n} AS n, {value} AS day" for n, value in enumerate((right, *wrong)))
    found = world.client().query_and_wait(f"SELECT {misfit} AS misfit FROM ({rows}) ORDER BY n")
    assert [row.misfit for row in found] == [None, *(f"{rule}:day" for rule in wrong.values())]


@pytest.mark.parametrize("kind", [Requests.GENERATE, Requests.TEXT_EMBEDDING])
def test_a_table_is_checked_for_what_the_output_does_not_take(world: BigQueryWorld, kind: Requests) -> None:
    source = (
        f"(SELECT day, {string_literal(json.dumps(asking()))} AS request, 'text' AS content FROM UNNEST([1, 2]) AS day)"
    )
    misfit = "IF(day = 2, 'wrong_partition:day', NULL)"
    embeds = kind is Requests.TEXT_EMBEDDING
    sql = check_contents(source, (), misfit) if embeds else check_requests(source, is_json=False, misfit=misfit)
    check = read_check((dict(row) for row in world.client().query_and_wait(sql)), kind)
    assert [(each.rule, each.count, each.places, each.hint) for each in check.findings] == [
        ("wrong_partition", 1, ("row 2",), "day")
    ]
    problem = check.problem("input")
    assert problem is not None and problem.field == "output"


def test_the_length_of_json_is_not_compared_with_that_of_a_text() -> None:
    existing = TableFacts("TABLE", 0, ({"name": "day", "type": "STRING", "maxLength": "2"},))
    assert misfit_of(TableName("p", "d", "t"), existing, [{"name": "day", "type": "JSON"}]) is None


def test_rows_without_rules_of_the_output_need_no_check() -> None:
    existing = TableFacts("TABLE", 0, ({"name": "day", "type": "DATE"},), Partitioning("DAY", None))
    assert misfit_of(TableName("p", "d", "t$20260101"), existing, [{"name": "day", "type": "DATE"}]) is None


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


LONG = [
    "words of a text " * 400,
    'a "quoted" text\n' * 400,
    "größer \U0001f600 ☃ " * 400,
    "x" * 5000,
]


def _long_requests() -> list[str]:
    """Return good requests of many characters, written in different ways."""
    data = {"inlineData": {"mimeType": "image/png", "data": "+/_-AAAA" * 800 + "eA=="}}
    mixed = {"contents": [{"role": "user", "parts": [{"text": text} for text in LONG] + [data]}]}
    instructed = asking(system_instruction={"parts": [{"text": LONG[1]}]}, generationConfig={"maxOutputTokens": 3})
    requests = [*map(asking, LONG), mixed, instructed]
    plain = [json.dumps(each) for each in requests]
    return [
        *plain,
        *(json.dumps(each, ensure_ascii=False, indent=2) for each in requests),
        plain[-2].replace("/", "\\/"),
    ]


@pytest.mark.long
def test_long_requests_are_measured_as_in_files(world: BigQueryWorld) -> None:
    texts = _long_requests()
    check = _check(world, _table(world, texts))
    file = "".join(json.dumps({"request": json.loads(text)}) + "\n" for text in texts)
    in_files = check_lines([as_file(file)])
    assert check.findings == ()
    assert (check.requests, check.characters) == (in_files.requests, in_files.characters)


@pytest.mark.long
def test_rules_that_long_requests_break_are_found(world: BigQueryWorld) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA" * 2000}}

    def long(part: dict[str, Any], **more: Any) -> str:
        return json.dumps({"contents": [{"role": "user", "parts": [{"text": LONG[0]}, part]}], **more})

    wrong = [
        ("wrong_inline_data", long({"inlineData": {"mimeType": "image/png", "data": "AAAA " * 2000}})),
        ("wrong_inline_data", long({"inlineData": {"data": "AAAA" * 2000}})),
        ("not_json", long(image).replace("AAAAAAAA", "AAAA\\x", 1)),
        ("not_json", long({"text": LONG[0]}).replace("words", "wo\nrds", 1)),
        ("not_json", long({"text": LONG[0]})[:-2]),
        ("unknown_field", long(image, temperature=1)),
        ("unknown_field", long({**image, "nope": 1})),
        ("several_data", long({**image, "text": LONG[0]})),
        ("empty_part", long({"text": ""})),
        ("wrong_uri", long({"fileData": {"fileUri": "http://x/" + "y" * 5000, "mimeType": "image/png"}})),
    ]
    check = _check(world, _table(world, [text for _, text in wrong] + [long(image)]))
    found = [(finding.rule, place) for finding in check.findings for place in finding.places]
    assert sorted(found) == sorted((rule, f"row {number}") for number, (rule, _) in enumerate(wrong, start=1))


@pytest.mark.long
def test_requests_of_type_json_are_checked(world: BigQueryWorld) -> None:
    texts = [None if each is None else json.dumps(each) for each in (*GOOD, asking(""), None, [])]
    check = _check(world, _table(world, texts, "JSON"), is_json=True)
    assert {finding.rule for finding in check.findings} == {"empty_part", "empty_request", "not_an_object"}
    assert check.requests == len(GOOD) + 3


@pytest.mark.long
def test_a_table_without_requests_is_found(world: BigQueryWorld) -> None:
    assert _places(_check(world, f"(SELECT * FROM {_table(world, ['x'])} WHERE FALSE)")) == {"no_requests": ()}


@pytest.mark.long
def test_the_usual_requests_are_recognised_at_a_glance(world: BigQueryWorld) -> None:
    usual = [json.dumps(each["contents"], separators=(",", ":")) for each in (GOOD[0], GOOD[2])]
    both = ", ".join(map(string_literal, usual))
    pattern = string_literal(GOOD_CONTENTS)
    assert world.rows(f"SELECT LOGICAL_AND(REGEXP_CONTAINS(c, {pattern})) FROM UNNEST([{both}]) AS c") == [(True,)]


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_files_of_an_unknown_type_and_missing_prompts_are_found_before_submission(world: BigQueryWorld) -> None:
    sql = batch_requests(Prompts(prompts_query(ROWS), None, None), ["id"], FILES, {"pages"})
    check = _check(world, f"(\n{sql}\n)")
    assert {finding.rule: finding.count for finding in check.findings} == {"no_mime_type": 2, "empty_part": 1}
    assert (check.requests, check.files) == (5, 8)


@pytest.mark.long
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


# Typed results

COLUMNS = (
    ResultColumn("title", "STRING", "$.title"),
    ResultColumn("year", "INT64", "$.year"),
    ResultColumn("score", "FLOAT64", "$.score"),
    ResultColumn("ok", "BOOL", "$.ok"),
    ResultColumn("tags", "ARRAY<STRING>", "$.tags"),
    ResultColumn("seen", "DATE", "$.seen"),
    ResultColumn("more", "JSON", "$.more"),
)
NOTHING: dict[str, Any] = {
    "title": None,
    "year": None,
    "score": None,
    "ok": None,
    "tags": [],
    "seen": None,
    "more": None,
}
OTHER_TYPE = "missing, or of another type: "


def _answer(*texts: str, finish: str = "STOP", **first: Any) -> str:
    parts = [{"text": text} for text in texts]
    parts[0].update(first)
    return json.dumps({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}]})


# The response, the status of the answer, and the values of the results with their status.
ANSWERS: list[tuple[str | None, str | None, dict[str, Any]]] = [
    (
        _answer(
            '{"title": "Ä \\"x\\"\\n", "year": 2001, "score": 1, "ok": true, "tags": ["a", "b"], "seen": "2001-02-03", '
            '"more": {"a": [1]}}'
        ),
        "",
        {
            "title": 'Ä "x"\n',
            "year": 2001,
            "score": 1.0,
            "ok": True,
            "tags": ["a", "b"],
            "seen": date(2001, 2, 3),
            "more": {"a": [1]},
        },
    ),
    (
        _answer('As asked:\n```json\n{"title": "T",\n"year": "1999"}\n```\nEnjoy {it}!'),
        "",
        {"title": "T", "year": 1999},
    ),
    (_answer('Sure! {"title": "T", "year": -7.0} Hope it helps.'), None, {"title": "T", "year": -7}),
    (_answer('I use {x}: {"title": "T", "more": {"b": {}}} and {y}.'), "", {"title": "T", "more": {"b": {}}}),
    (_answer('[{"title": "T"}]'), "", {"title": "T"}),
    (_answer("thinking", '{"title":', '"T"}', thought=True), "", {"title": "T"}),
    (_answer('{"title": 5, "year": null, "tags": []}'), "", {"title": "5"}),
    (
        _answer('{"title": {}, "year": 1.5, "score": "high", "ok": "yes", "tags": "a", "seen": "soon"}'),
        "",
        {
            "status": f"{OTHER_TYPE}title (STRING), year (INT64), score (FLOAT64), ok (BOOL), tags (ARRAY<STRING>), seen (DATE)"
        },
    ),
    (
        _answer('{"title": "T", "tags": ["a", {"b": 1}, null]}'),
        "",
        {"title": "T", "tags": ["a"], "status": f"{OTHER_TYPE}tags (ARRAY<STRING>)"},
    ),
    (_answer('{"Title": "T"}'), "", {"status": "the answer has none of the values"}),
    (_answer('{"title": "T', finish="MAX_TOKENS"), "", {"status": "the answer has no JSON (MAX_TOKENS)"}),
    (_answer("No."), "", {"status": "the answer has no JSON"}),
    ('{"promptFeedback": {"blockReason": "SAFETY"}}', "", {"status": "the answer has no text (SAFETY)"}),
    (None, "Bad Request: 400", {"status": "Bad Request: 400"}),
    ("", None, {"status": "the answer has no text"}),
]


def _answers(rows: Sequence[tuple[str | None, str | None]], *, is_json: bool = False) -> str:
    def literal(text: str | None) -> str:
        return "CAST(NULL AS STRING)" if text is None else string_literal(text)

    structs = (
        f"STRUCT({number} AS id, 'q' AS request, {literal(response)} AS response, {literal(status)} AS status)"
        for number, (response, status) in enumerate(rows)
    )
    source = f"SELECT * FROM UNNEST([{', '.join(structs)}])"
    parsed = f"SELECT * REPLACE (SAFE.PARSE_JSON(response) AS response) FROM ({source})"
    return f"({parsed if is_json else source})"


def _results(
    world: BigQueryWorld, source: str, columns: Sequence[ResultColumn], kind: str = "STRING"
) -> list[dict[str, Any]]:
    schema = [{"name": "id", "type": "INTEGER"}, *({"name": name, "type": "STRING"} for name in ("request", "status"))]
    schema.append({"name": "response", "type": kind})
    sql = f"SELECT * FROM ({flatten(source, schema, columns)}) ORDER BY id"
    return [dict(row) for row in world.client().query_and_wait(sql)]


@pytest.mark.parametrize("kind", ["JSON", pytest.param("STRING", marks=pytest.mark.long)])
def test_answers_become_typed_columns(world: BigQueryWorld, kind: str) -> None:
    source = _answers([(response, status) for response, status, _ in ANSWERS], is_json=kind == "JSON")
    expected = [{"id": id_, "status": "", **NOTHING, **values} for id_, (_, _, values) in enumerate(ANSWERS)]
    assert _results(world, source, COLUMNS, kind) == expected


@pytest.mark.long
def test_the_text_of_an_answer_may_be_a_column(world: BigQueryWorld) -> None:
    one = [ResultColumn("text", "STRING", "$"), ResultColumn("title", "STRING", "$.title")]
    assert _results(world, _answers([(_answer('[{"title": "T"}]'), "")]), one) == [
        {"id": 0, "status": "", "text": '[{"title": "T"}]', "title": "T"}
    ]
    source = _answers([(_answer("No { JSON ", "at all."), ""), (None, "failed")])
    assert _results(world, source, [ResultColumn("text", "STRING", "$")]) == [
        {"id": 0, "status": "", "text": "No { JSON at all."},
        {"id": 1, "status": "failed", "text": None},
    ]


@pytest.mark.long
def test_values_that_a_schema_requires_are_missed(world: BigQueryWorld) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"two words": {"type": "STRING"}, "n": {"type": "ARRAY", "items": {"type": "INTEGER"}}},
        "required": ["two words"],
    }
    source = _answers([(_answer('{"two words": "x", "n": [1, 2]}'), ""), (_answer('{"n": []}'), "")])
    assert _results(world, source, columns_of_schema(schema)) == [
        {"id": 0, "status": "", "two_words": "x", "n": [1, 2]},
        {"id": 1, "status": f"{OTHER_TYPE}two_words (STRING)", "two_words": None, "n": []},
    ]
    [numbers] = _results(world, _answers([(_answer("[3, 4]"), "")]), columns_of_schema(schema["properties"]["n"]))
    assert numbers["answer"] == [3, 4]


# The move of answers into an output


BUSY = 'Too Many Requests: {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}'
# The id, the response and the status of each row of an output, and of the answers that are merged into it.
PRESENT = [
    (1, "{}", "old"),
    (2, '{"a":1}', ""),
    (3, '{"a":1}', ""),
    (4, None, BUSY),
    (5, None, BUSY),
    (6, '{"a":1}', None),
]
MERGED = [
    (1, '{"a":2}', ""),
    (2, None, BUSY),
    (3, '{"a":2}', ""),
    (4, '{"a":2}', ""),
    (5, "", "new"),
    (6, "{}", ""),
    (7, None, BUSY),
]
TOGETHER = {1: 2, 2: 1, 3: 2, 4: 2, 5: "new", 6: 1, 7: BUSY}


@pytest.mark.parametrize(
    ("response", "status"), [("JSON", "STRING"), pytest.param("STRING", "JSON", marks=pytest.mark.long)]
)
def test_a_failure_that_is_merged_replaces_a_failure_and_no_answer(
    world: BigQueryWorld, response: str, status: str
) -> None:
    dataset = world.dataset()
    target, own = (TableName(PROJECT, dataset, name) for name in ("answers", "modeldrop_answers"))
    schemas = [
        [{"name": "id", "type": "INTEGER"}, {"name": "response", "type": first}, {"name": "status", "type": second}]
        for first, second in ((response, status), ("JSON", "STRING"))
    ]
    for table, schema, rows in ((target, schemas[0], PRESENT), (own, schemas[1], MERGED)):
        values = ({"id": n, "response": answer, "status": text} for n, answer, text in rows)
        if schema[2]["type"] == "JSON":
            values = ({**row, "status": json.dumps(row["status"]) if row["status"] else None} for row in values)
        world.bigquery.tables.write(
            str(table), schema, ({**row, "response": row["response"] or None} for row in values)
        )
    existing = TableFacts("TABLE", len(PRESENT), tuple(schemas[0]))
    output = Output(target, "merge", ("id",))
    query = move_query(f"SELECT * FROM {own.sql}", AnswerTable(own, tuple(schemas[1])), target, output, existing)
    world.rows(query.sql)
    found: dict[int, Any] = {}
    for row in world.client().query_and_wait(f"SELECT * FROM {target.sql}"):
        answer = json.loads(row["response"]) if isinstance(row["response"], str) else row["response"]
        found[row["id"]] = (answer or {}).get("a") or row["status"]
    assert found == TOGETHER
