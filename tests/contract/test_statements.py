"""Every SQL statement that is generated, read by Google's own GoogleSQL parser.

Each is one statement, of the kind that it is meant to be, with the names that were meant in it; and no query or condition
that is let through changes anything of the statement around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from shared.batch_work import LineColumn, LineFormat
from shared.batches import statements as batches_sql
from shared.batches.inputs.files import FileColumn
from shared.batches.inputs.parts import divide, requests_of_part
from shared.batches.inputs.tables import check_contents, check_requests
from shared.batches.lines.statements import answers_of_lines, comparable_requests, load_lines, requests_of_lines
from shared.batches.request import BatchRequest, Prompts
from shared.batches.typed.flattening import flatten
from shared.batches.typed.results import TYPES, ResultColumn
from shared.checks.identifiers import (
    ModelName,
    TableName,
    column_sql,
    string_literal,
)
from shared.checks.query_guard import check_condition, check_query
from shared.drops.checks import statements as checks_sql
from shared.drops.checks.model_check import CheckedRow, ModelCheck
from shared.drops.imports import statements as drops_sql
from shared.drops.manifest import MODEL_TYPES, Manifest
from shared.drops.remote import RemoteModel
from shared.engine.statements import create_table
from shared.errors import Rejected
from shared.messages.predict_request import FUNCTIONS, PredictRequest, TableInput
from shared.predictions import statements as predictions_sql
from tests.contract.googlesql import (
    calls,
    kind,
    names,
    nodes,
    parse,
    parses,
    strings,
)
from tests.example_requests import (
    BATCH_REQUEST,
    NOW,
    PREDICT_MESSAGE,
    SETTINGS,
)

MODEL = ModelName("example.com:my-project", "films", "genres_2")
TABLE = TableName("my-project", "films", "titles-2026")
MARK = "SELECT 'the query' AS mark"


def _predict(**changes: Any) -> PredictRequest:
    return PredictRequest.parse({**PREDICT_MESSAGE, **changes}, SETTINGS, NOW)


# --- the kinds of statements -------------------------------------------------------------------------------------------

FULL_MANIFEST = Manifest(
    target=MODEL,
    description='It\'s a "model" of `titles`;\n-- not a comment \\ /* nor this',
    labels=(("stage", "test"), ("team", "films")),
    expires_after=timedelta(days=30),
    kms_key="projects/p/locations/us/keyRings/r/cryptoKeys/k",
    registry_id="genres",
    registry_aliases=("champion",),
)
COLUMNS: list[dict[str, Any]] = [
    {"name": "dense_1", "type": "FLOAT", "mode": "REPEATED"},
    {"name": "title", "type": "STRING", "mode": "NULLABLE"},
    {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
    {"name": "seen", "type": "BOOLEAN", "mode": "NULLABLE"},
    {
        "name": "parts",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [
            {"name": "a", "type": "FLOAT", "mode": "REPEATED"},
            {"name": "b", "type": "JSON", "mode": "NULLABLE"},
        ],
    },
]
LINES = LineFormat(
    "generate",
    tuple(LineColumn(f"c{number}", each) for number, each in enumerate([*TYPES, "BYTES", "INTERVAL", "JSON"])),
)
MERGE = {"table": "films.answers", "write": "merge", "key": ["id", "title"]}

_METRIC = ModelCheck(query=MARK, metric="AVG(y) -- so", at_most=1.0)


def _comparison() -> str:
    row = CheckedRow((("x", (1, 2.5)),), (("dense_1", (True, False)), ("title", "it's"), ("id", None)))
    check = ModelCheck(rows=(row,), tolerance=1e-07)
    columns = [*COLUMNS[:3], *({**column, "name": f"expected_{column['name']}"} for column in COLUMNS[:3])]
    outputs = checks_sql.compared_outputs(columns, "f")
    return checks_sql.comparison(
        check, checks_sql.predictions(MODEL, checks_sql.input_query(check, None)), columns, outputs
    )


STATEMENTS: list[tuple[str, Callable[[], str | None], list[str]]] = [
    (
        "ASTCreateModelStatement",
        lambda: drops_sql.create_model(MODEL, "REMOTE", "", Manifest(remote=RemoteModel("us.c-1", "gemini-3.8-flash"))),
        [str(MODEL)],
    ),
    (
        "ASTCreateModelStatement",
        lambda: drops_sql.create_model(
            MODEL, "REMOTE", "", Manifest(remote=RemoteModel("DEFAULT", "gemini-3.8-flash"))
        ),
        [str(MODEL)],
    ),
    ("ASTAlterModelStatement", lambda: drops_sql.alter_model(MODEL, FULL_MANIFEST, NOW), [str(MODEL)]),
    ("ASTCreateTableStatement", lambda: create_table(TABLE, COLUMNS), [str(TABLE)]),
    ("ASTQueryStatement", lambda: predictions_sql.predict(_predict()), ["ML.PREDICT"]),
    (
        "ASTQueryStatement",
        lambda: predictions_sql.predict(
            _predict(input={"table": "a.b-c", "columns": {"x": "y"}, "where": "y > 1 -- so"})
        ),
        ["local-project.a.b-c", "y"],
    ),
    (
        "ASTQueryStatement",
        lambda: predictions_sql.predict(_predict(input={"table": "a.b"})),
        ["local-project.a.b"],
    ),
    ("ASTQueryStatement", lambda: predictions_sql.predict(_predict(columns={"keep": ["a"]})), ["a"]),
    ("ASTQueryStatement", lambda: predictions_sql.predict(_predict(columns={"drop": ["a`b"]})), ["ML.PREDICT"]),
    ("ASTQueryStatement", _comparison, [str(MODEL), "expected_dense_1", "expected_title"]),
    ("ASTQueryStatement", lambda: checks_sql.metric(_METRIC, checks_sql.predictions(MODEL, MARK)), ["AVG"]),
    ("ASTQueryStatement", lambda: predictions_sql.count_rows(_predict(max_rows=7)), ["ERROR", "COUNT"]),
    (
        "ASTMergeStatement",
        lambda: predictions_sql.merge(_predict(output=MERGE), ["dense_1", "title", "id"]),
        ["local-project.films.answers", "source.dense_1", "target.id"],
    ),
    ("ASTMergeStatement", lambda: predictions_sql.merge(_predict(output=MERGE), ["title", "id"]), ["source.id"]),
    (
        "ASTQueryStatement",
        lambda: batches_sql.batch_requests(
            Prompts(MARK, "Be `kind`; it's 'you'", '{"temperature": 1e3}'), ["id", "prompt"]
        ),
        ["id", "prompt"],
    ),
    (
        "ASTQueryStatement",
        lambda: batches_sql.batch_requests(Prompts(MARK, None, None), ["prompt"]),
        ["JSON_OBJECT"],
    ),
    (
        "ASTQueryStatement",
        lambda: batches_sql.batch_requests(
            Prompts(MARK, None, None),
            ["id"],
            (FileColumn("poster"), FileColumn("pages", mime_column="kind")),
            {"pages"},
        ),
        ["poster", "pages", "kind"],
    ),
    ("ASTQueryStatement", lambda: check_requests(TABLE.sql, is_json=True), [str(TABLE), "request"]),
    ("ASTQueryStatement", lambda: check_contents(f"(\n{MARK}\n)"), ["content"]),
    ("ASTCreateTableStatement", lambda: divide(f"(\n{MARK}\n)", TABLE, 3), [str(TABLE)]),
    ("ASTQueryStatement", lambda: requests_of_part(TABLE, 2), [str(TABLE)]),
    ("ASTAuxLoadDataStatement", lambda: load_lines(TABLE, ["gs://b/it's*", "gs://b/c.jsonl"]), [str(TABLE)]),
    (
        "ASTQueryStatement",
        lambda: f"SELECT * FROM {answers_of_lines(TABLE, LINES)}",
        [str(TABLE), "line"],
    ),
    ("ASTQueryStatement", lambda: f"SELECT * FROM {requests_of_lines(TABLE, LINES)}", [str(TABLE), "line"]),
    (
        "ASTQueryStatement",
        lambda: f"SELECT * FROM {requests_of_lines(TABLE, replace(LINES, kind='text_embedding'))}",
        [str(TABLE), "line"],
    ),
    (
        "ASTQueryStatement",
        lambda: f"SELECT * FROM {comparable_requests(TABLE.sql, COLUMNS, LINES)}",
        [str(TABLE), "request", "c0"],
    ),
    (
        "ASTQueryStatement",
        lambda: flatten(
            TABLE.sql,
            [{"name": name, "type": "STRING"} for name in ("id", "request", "response", "status")],
            [
                ResultColumn(f"c{number}", kind, '$.a[0]."it\'s"')
                for number, kind in enumerate([*TYPES, *(f"ARRAY<{each}>" for each in TYPES), "JSON"])
            ],
        ),
        [str(TABLE), "id", "c0"],
    ),
]


@pytest.mark.parametrize(("statement", "generate", "named"), STATEMENTS)
def test_a_statement_has_its_kind_and_the_names_of_the_request(
    statement: str, generate: Callable[[], str | None], named: list[str]
) -> None:
    tree = parse(str(generate()))
    assert kind(tree) == statement
    assert set(named) <= set(names(tree))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_an_import_names_its_model_and_its_files(model_type: str) -> None:
    manifest = replace(FULL_MANIFEST, inputs=(("f1", "INT64"), ("select", "FLOAT64")), outputs=(("label", "FLOAT64"),))
    uri = "gs://models/films/genres/2/it's a\\model`.onnx"
    tree = parse(drops_sql.create_model(MODEL, model_type, uri, manifest))
    assert kind(tree) == "ASTCreateModelStatement"
    assert tree.is_or_replace
    assert names(tree)[0] == str(MODEL)
    assert strings(tree) == [model_type, uri, manifest.kms_key, "VERTEX_AI", "genres", "champion"]


def test_an_import_without_aliases_does_not_register_the_model() -> None:
    manifest = replace(FULL_MANIFEST, registry_aliases=())
    tree = parse(drops_sql.create_model(MODEL, "ONNX", "gs://models/films/genres/2/g.onnx", manifest))
    assert strings(tree) == ["ONNX", "gs://models/films/genres/2/g.onnx", manifest.kms_key]
    assert strings(parse(str(drops_sql.alter_model(MODEL, manifest, NOW))))[-1] == "genres"


def test_values_of_a_manifest_are_in_the_statement_unchanged() -> None:
    tree = parse(str(drops_sql.alter_model(MODEL, FULL_MANIFEST, NOW)))
    assert strings(tree) == [
        FULL_MANIFEST.description,
        "stage",
        "test",
        "team",
        "films",
        "2026-12-20T09:41:17.318000+00:00",
    ]


def test_a_manifest_without_further_fields_needs_no_statement() -> None:
    assert drops_sql.alter_model(MODEL, Manifest(registry_aliases=(), files=3), NOW) is None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_options_are_in_the_statement_unchanged(function: str) -> None:
    options = {
        "flatten_json_output": True,
        "grounded": False,
        "max_output_tokens": 100,
        "model_params": {"generation_config": {"thinking_config": {"thinking_budget": 0}}, "it's": "`\\n"},
        "output_schema": "year INT64, title STRING",
        "seed": None,
        "stop_sequences": ["'", "\\", "\n"],
        "temperature": 0.25,
        "top_p": -1e-30,
    }
    tree = parse(predictions_sql.predict(_predict(function=function, options=options)))
    assert calls(tree)[0] == function
    aliases = [node.identifier.id_string for node in nodes(tree) if kind(node) == "ASTAlias"]
    assert aliases[1:] == sorted(options)
    assert strings(tree) == [
        '{"generation_config": {"thinking_config": {"thinking_budget": 0}}, "it\'s": "`\\\\n"}',
        "year INT64, title STRING",
        "'",
        "\\",
        "\n",
    ]


def test_only_a_batch_request_with_prompts_needs_a_statement() -> None:
    request = BatchRequest.parse({**BATCH_REQUEST, "input": {"prompts": {"query": MARK}}}, SETTINGS, NOW)
    assert isinstance(request.input, Prompts)
    assert kind(parse(batches_sql.batch_requests(request.input, ["prompt"]))) == "ASTQueryStatement"


# --- names and texts ---------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NASTY_TEXT = st.lists(st.sampled_from(["'", '"', "`", "\\", "\n", "\r", "\0", "--", "/*", "*/", ";", ")", "x"])).map(
    "".join
)


@given(ANY_TEXT | NASTY_TEXT)
def test_any_text_reads_back_as_itself(text: str) -> None:
    assert strings(parse(f"SELECT {string_literal(text)}")) == [text]


@given((ANY_TEXT | NASTY_TEXT).filter(bool))
def test_any_column_reads_back_as_one_name(column: str) -> None:
    tree = parse(f"SELECT {column_sql(column)} FROM t")
    assert [path.names[0].id_string for path in nodes(tree) if kind(path) == "ASTPathExpression"] == [column, "t"]


@given(
    project=st.from_regex(r"[a-z][a-z0-9-]{2,20}[a-z0-9]", fullmatch=True),
    dataset=st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True),
    table=st.from_regex(r"[A-Za-z0-9_-]{1,20}(\$[A-Za-z0-9_]{1,20})?", fullmatch=True),
    column=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True),
    model=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
)
def test_every_accepted_name_is_one_name(project: str, dataset: str, table: str, column: str, model: str) -> None:
    request = _predict(
        model=f"{project}.{dataset}.{model}",
        input={"table": f"{project}.{dataset}.{table}", "columns": {column: column}},
        output={"table": f"{project}.{dataset}.{table}", "write": "merge", "key": [column]},
        options={column: 1},
    )
    tree = parse(predictions_sql.merge(request, [column, "other"]))
    assert kind(tree) == "ASTMergeStatement"
    assert {f"{project}.{dataset}.{model}", f"{project}.{dataset}.{table}", f"target.{column}"} <= set(names(tree))


# --- breaking out ------------------------------------------------------------------------------------------------------

_OPTIONS = {"threshold": 0.5, "label": "it's"}
QUERY_STATEMENTS: dict[str, Callable[[str], str]] = {
    "predict": lambda query: predictions_sql.predict(_with_query(query, options=_OPTIONS)),
    "count_rows": lambda query: predictions_sql.count_rows(_with_query(query, max_rows=7)),
    "merge": lambda query: predictions_sql.merge(
        _with_query(query, output=MERGE, options=_OPTIONS), ["title", "id", "x"]
    ),
    "batch_requests": lambda query: batches_sql.batch_requests(Prompts(query, "Be kind", None), ["id", "prompt"]),
}


def _with_query(query: str, **changes: Any) -> PredictRequest:
    return replace(_predict(**changes), query=query)


def _with_condition(condition: str) -> str:
    table = TableInput(TABLE, (("input", "title"),), condition)
    return predictions_sql.predict(replace(_predict(options=_OPTIONS), query=None, table=table))


def _frame(tree: Any, sql: str, start: int, end: int) -> list[tuple[str, str, str]]:
    """Return what a parse tree says of everything around the bytes from ``start`` to ``end``, which are in brackets.

    Each node is returned as its kind and the text before and after these bytes. Fails if a node crosses their border.
    """
    text, found = sql.encode(), []
    for node in nodes(tree):
        first, last = node.parse_location_range.start, node.parse_location_range.end
        if start <= first and last <= end:
            continue
        if first <= start - 2 and end + 2 <= last:
            found.append((kind(node), text[first:start].decode(), text[end:last].decode()))
        else:
            assert last <= start or first >= end, f"{kind(node)} crosses the border: {text[first:last]!r}"
            found.append((kind(node), text[first:last].decode(), ""))
    return found


def _is_bracketed(found: tuple[str, str, str]) -> bool:
    """Return whether a node of a frame is the bracket itself, which is a node of its own around a subquery."""
    return found[1:] == ("(\n", "\n)")


def _is_framed(build: Callable[[str], str], within: str, mark: str, *, as_query: bool = True) -> bool:
    """Return whether the statement with ``within`` in it can be parsed; fail if it is another one than with ``mark``.

    With ``as_query``, the text between the brackets must be a query again; otherwise it may be any expression.
    """
    before, after = build(mark).split(mark)
    sql = build(within)
    assert sql == before + within + after
    tree = parses(sql)
    if tree is None:
        return False
    start = len(before.encode())
    expected = _frame(parse(build(mark)), build(mark), start, start + len(mark.encode()))
    frame = _frame(tree, sql, start, start + len(within.encode()))
    if not as_query:
        frame, expected = ([node for node in each if not _is_bracketed(node)] for each in (frame, expected))
    assert frame == expected
    return True


HARMLESS = (
    MARK,
    "SELECT 1 -- a comment at the end",
    "SELECT 1 # another",
    "SELECT 1 ; -- the end;",
    "SELECT 1 /* ) */",
    "SELECT ')' AS a, \")\" AS b, r'\\' || ')' AS c, '''')''' AS d, \"\"\"\")\"\"\" AS e, b')' AS f, `)` AS g FROM t".replace(
        "r'\\' || ')' AS c", "r')\\'' AS c"
    ),
    "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
    "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a WHERE x < 3) SELECT x FROM a",
    "(SELECT 1 AS x) UNION ALL (SELECT 2)",
    "((SELECT 1 AS x) EXCEPT DISTINCT (SELECT 2)) ORDER BY x LIMIT 3",
    "(SELECT 1 AS x) FULL OUTER UNION ALL BY NAME (SELECT 2 AS y)",
    "(((SELECT 1)))",
    "FROM t |> WHERE x > 1 |> SELECT x",
    "(SELECT 1 AS x) |> WHERE x > 1",
    "SELECT @min_score, x[SAFE_OFFSET(0)], STRUCT(1 AS a), [1, 2], IF(a, b, c) FROM t, UNNEST([1, 2]) AS n",
    "SELECT\u00a0'\u2003é\U0001f600'\r\nFROM t",
)


@pytest.mark.parametrize("query", HARMLESS)
@pytest.mark.parametrize("statement", QUERY_STATEMENTS)
def test_a_query_that_only_looks_dangerous_is_accepted_and_stays_in_its_place(statement: str, query: str) -> None:
    accepted = check_query(query, field="input.query")
    assert _is_framed(QUERY_STATEMENTS[statement], accepted, MARK)


ATTEMPTS = (
    "SELECT 1) UNION ALL (SELECT secret FROM other.table",
    "SELECT 1), STRUCT(1 AS x",
    "SELECT 1 /* ", "SELECT 1 */ ) /*", "SELECT '", 'SELECT "', "SELECT `", "SELECT '''", 'SELECT """', "SELECT r'\\'",
    "SELECT 'a\nb'", "SELECT '\\", "SELECT rb\"\\\"", "SELECT \"\"\"a\\\"\"\"", "SELECT ''' '' ') '",
    "SELECT 1; DROP TABLE films.titles", "SELECT 1;;", ";SELECT 1", "SELECT 1 -- \n ; DELETE FROM t WHERE TRUE",
    "SELECT 1 --\r); DROP TABLE films.titles", "SELECT 1 #\u2028); DROP TABLE t", "SELECT 1 --\x85); SELECT 2",
    "SELECT [1)", "SELECT (1]", "SELECT {1)", "SELECT ARRAY<STRUCT<a INT64>>[(1)",
    "SELECT 1\0", "\ufeffSELECT 1", "SELECT 1 \\ ) --",
    "DROP TABLE films.titles", "DELETE FROM t WHERE TRUE", "INSERT INTO t VALUES (1)", "MERGE t USING s ON TRUE",
    "CREATE TABLE t AS SELECT 1", "EXPORT DATA OPTIONS(uri='gs://b/*') AS SELECT 1", "CALL p()",
    "BEGIN SELECT 1; END", "DECLARE x INT64", "EXECUTE IMMEDIATE 'DROP TABLE t'", "TABLE t", "GRAPH g MATCH (a) RETURN a",
    "(SELECT 1), (SELECT 2)", "(SELECT 1) AS a JOIN (SELECT 2) AS b ON TRUE", "(SELECT 1) a CROSS JOIN (SELECT 2) b",
    "((SELECT 1) a LEFT JOIN (SELECT 2) b ON TRUE)", "(SELECT 1) + 1", "(1)", "WITH(a AS 1, a + 1)", "", " ", "-- nothing",
    "FROM t |> INSERT INTO u", "FROM t |> CREATE TABLE u", "FROM t |> EXPORT DATA OPTIONS(uri='gs://b/*')",
    "FROM t |> /* now */ insert INTO u",
)  # fmt: skip


@pytest.mark.parametrize("query", ATTEMPTS)
def test_a_query_that_breaks_out_of_its_brackets_is_rejected(query: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_query(query, field="input.query")
    assert refusal.value.problem.code == "invalid_query"
    assert refusal.value.problem.field == "input.query"


FRAGMENTS = st.sampled_from(
    [
        *("'", '"', "`", "'''", '"""', "r'", 'b"', "rb'''", "\\", "--", "#", "/*", "*/", "\n", "\r\n", "\r", " "),
        *("(", ")", "[", "]", "{", "}", ";", ",", ".", "@", "$", "?", "|>", "=>", "\u2028", "\u00a0", "\0", "é"),
        *(
            "SELECT 1",
            "SELECT",
            "FROM t",
            "AS a",
            "UNION ALL",
            "JOIN",
            "ON TRUE",
            "WHERE",
            "WITH x AS",
            "STRUCT",
            "x",
            "1",
        ),
        *("); DROP TABLE t", ") AS x, (", "INSERT INTO t", "LIMIT 1", "ORDER BY 1", "EXCEPT DISTINCT", "LEFT"),
    ]
)
INNER = st.lists(FRAGMENTS, max_size=4).map("".join)
# Closed by construction, if what is inside does not open it: so that many of the queries are let through.
CLOSED = st.one_of(
    st.builds("'{}'".format, INNER),
    st.builds('r"{}"'.format, INNER),
    st.builds("'''{}'''".format, INNER),
    st.builds('"""{}"""'.format, INNER),
    st.builds("`{}`".format, INNER),
    st.builds("/*{}*/".format, INNER),
    st.builds("--{}\n".format, INNER),
    st.builds("({})".format, INNER),
    st.builds("(SELECT {})".format, INNER),
    st.builds("f({})".format, INNER),
    st.builds("(SELECT 1 {})".format, INNER),
    st.sampled_from(["1", "x", "x,", ", y", "+ 1", "UNION ALL SELECT 2", "FROM t", "AS a", "[1]", "WHERE TRUE"]),
)
QUERIES = st.builds(
    "{}{}".format,
    st.sampled_from(
        ["SELECT ", "SELECT 1 ", "SELECT x, ", "(SELECT 1) ", "WITH a AS (SELECT 1) SELECT ", "FROM t ", ""]
    ),
    st.lists(CLOSED | FRAGMENTS, max_size=6).map(" ".join) | st.lists(FRAGMENTS, max_size=12).map("".join),
)


@given(st.sampled_from(sorted(QUERY_STATEMENTS)), QUERIES)
def test_no_accepted_query_changes_the_statement_around_it(statement: str, query: str) -> None:
    try:
        check_query(query, field="input.query")
    except Rejected:
        event("refused")
        return
    event("parsed" if _is_framed(QUERY_STATEMENTS[statement], query, MARK) else "let through, and no query")


@given(st.lists(CLOSED | FRAGMENTS, min_size=1, max_size=6).map(" ".join))
def test_no_accepted_condition_changes_the_statement_around_it(condition: str) -> None:
    try:
        check_condition(condition, field="input.where")
    except Rejected:
        event("refused")
        return
    event(
        "parsed"
        if _is_framed(_with_condition, condition, "title = 'the condition'", as_query=False)
        else "let through, and no condition"
    )


# --- calls that cost or read elsewhere ---------------------------------------------------------------------------------

FORBIDDEN = (
    "SELECT * FROM EXTERNAL_QUERY('connection', 'SELECT 1')",
    "SELECT * FROM external_query ('connection', 'SELECT 1')",
    "SELECT * FROM `EXTERNAL_QUERY`('connection', 'SELECT 1')",
    "SELECT * FROM EXTERNAL_QUERY/* no */('connection', 'SELECT 1')",
    "SELECT * FROM EXTERNAL_QUERY -- no\n ('connection', 'SELECT 1')",
    "FROM t |> CALL EXTERNAL_QUERY('connection')",
    "SELECT AI.GENERATE('x').result",
    "SELECT ai . generate ('x')",
    "SELECT `AI`.`GENERATE`('x')",
    "SELECT `AI.GENERATE`('x')",
    "SELECT AI/* */./* */GENERATE/* */('x')",
    "SELECT SAFE.AI.GENERATE('x')",
    "SELECT prompt.(AI.GENERATE)(connection_id => 'c')",
    "SELECT prompt.(`ai`.GENERATE)(connection_id => 'c')",
    "SELECT ('a').(SAFE.AI.GENERATE_BOOL)()",
    "SELECT * FROM AI.FORECAST(TABLE t, data_col => 'x')",
    "SELECT * FROM ML.GENERATE_TEXT(MODEL m, TABLE t)",
    "SELECT * FROM ML.GENERATE_EMBEDDING(MODEL m, TABLE t)",
    "SELECT * FROM ML.TRANSLATE(MODEL m, TABLE t)",
    "SELECT (SELECT x FROM (SELECT AI.IF('x') AS x))",
)


@pytest.mark.parametrize("query", FORBIDDEN)
def test_a_call_that_needs_a_setting_is_rejected_without_it(query: str) -> None:
    assert parses(query) is not None
    with pytest.raises(Rejected, match="not allowed in a message"):
        check_query(query, field="input.query")
    check_query(query, field="input.query", allow_ai=True, allow_external=True)


@pytest.mark.parametrize("query", ["SELECT `\\x41I`.GENERATE('x')", "SELECT * FROM `EXTERNAL\\x5fQUERY`('c', 'q')"])
def test_a_call_cannot_hide_behind_escapes(query: str) -> None:
    assert {"AI.GENERATE", "EXTERNAL_QUERY"} & set(calls(parse(query)))
    with pytest.raises(Rejected, match="backslash"):
        check_query(query, field="input.query")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ai, ml, external_query FROM ai.titles",
        "SELECT 'AI.GENERATE(1)' -- EXTERNAL_QUERY('a')",
        "SELECT ai(1), x.generate_text(2)",
        "SELECT * FROM ML.PREDICT(MODEL d.m, TABLE t)",
        "SELECT SAFE.SUBSTR('x', 1), (ai.a + 1) * (2)",
    ],
)
def test_a_similar_name_that_is_not_such_a_call_is_accepted(query: str) -> None:
    check_query(query, field="input.query")


NAMES = st.sampled_from(
    ["AI", "`ai`", "GENERATE", "EXTERNAL_QUERY", "`AI.GENERATE`", "SAFE", "x", "ML", "GENERATE_TEXT", "f"]
)
BETWEEN = st.sampled_from(["", " ", "/**/", "\n", "-- \n"])
CALLS = st.builds(
    lambda opening, parts, dots, closing: (
        f"{opening}{''.join(p + d for p, d in zip(parts, dots, strict=False))}{closing}"
    ),
    st.sampled_from(["", "x.(", "'x'.(", "1 + ", "(1)."]),
    st.lists(NAMES, min_size=1, max_size=4),
    st.lists(st.tuples(BETWEEN, BETWEEN).map(lambda both: f"{both[0]}.{both[1]}"), min_size=4, max_size=4),
    st.sampled_from(["(1)", ")(1)", " (1)", ")/**/(1)", ""]),
).map(lambda text: text.replace(".(1)", "(1)").replace(".)", ")"))


@given(CALLS, st.sampled_from(["SELECT {}", "SELECT * FROM {}", "FROM t |> CALL {}", "SELECT (SELECT {} + 1)"]))
def test_a_call_that_needs_a_setting_is_rejected_in_any_spelling(call: str, query: str) -> None:
    try:
        check_query(query.format(call), field="input.query")
    except Rejected:
        event("refused")
        return
    tree = parses(query.format(call))
    event("let through" if tree else "let through, and no query")
    for name in calls(tree) if tree else []:
        path = name.upper().removeprefix("SAFE.").split(".")
        assert path[-1] != "EXTERNAL_QUERY"
        assert len(path) == 1 or path[0] != "AI"
        assert len(path) == 1 or path[0] != "ML" or not path[-1].startswith("GENERATE_")
