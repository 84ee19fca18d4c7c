"""Parsing model statements, and the error messages of invalid ones."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.calls import Span, find_calls, find_common_tables
from localcloud.bigquery.ml.generating.output_schema import parse_output_schema
from localcloud.bigquery.ml.models.options import Expression
from localcloud.bigquery.ml.models.statements import (
    AlterModel,
    CreateMode,
    CreateModel,
    DropModel,
    ExportModel,
    FieldDeclaration,
    ModelReference,
    ModelStatement,
    parse_statement,
)
from localcloud.bigquery.ml.objects.statements import parse_object_table
from localcloud.bigquery.ml.rewriting import REWRITTEN_FUNCTIONS


def parse(sql: str) -> ModelStatement | None:
    return parse_statement(sql, project="home", default_dataset=None)


def test_the_statement_of_the_tutorial_is_parsed() -> None:
    statement = parse(
        """  CREATE OR REPLACE MODEL `bqml_tutorial.imported_tf_model`
      OPTIONS (MODEL_TYPE='TENSORFLOW',
        MODEL_PATH='gs://cloud-training-demos/txtclass/export/exporter/1549825580/*')"""
    )

    assert statement == CreateModel(
        ModelReference("home", "bqml_tutorial", "imported_tf_model"),
        CreateMode.REPLACE,
        {
            "MODEL_TYPE": "TENSORFLOW",
            "MODEL_PATH": "gs://cloud-training-demos/txtclass/export/exporter/1549825580/*",
        },
    )


def test_all_spellings_of_names_comments_and_strings_are_parsed() -> None:
    statement = parse(
        """-- a comment (with a bracket
        create model if not exists other-project.`my-data`.m1 /* OPTIONS( */ options(
          model_path = r'gs://b/x\\y', # another
          `model_type` = \"\"\"ONNX\"\"\");"""
    )

    assert statement == CreateModel(
        ModelReference("other-project", "my-data", "m1"),
        CreateMode.IF_NOT_EXISTS,
        {"MODEL_PATH": "gs://b/x\\y", "MODEL_TYPE": "ONNX"},
    )


def test_input_and_output_clauses_are_parsed() -> None:
    statement = parse(
        "CREATE MODEL d.m INPUT(f1 INT64, `f 2` NUMERIC(10, 2)) OUTPUT(y ARRAY<FLOAT64>) OPTIONS(MODEL_TYPE='XGBOOST')"
    )

    assert isinstance(statement, CreateModel)
    assert statement.inputs == (FieldDeclaration("f1", "INT64"), FieldDeclaration("f 2", "NUMERIC(10,2)"))
    assert statement.outputs == (FieldDeclaration("y", "ARRAY<FLOAT64>"),)


@pytest.mark.parametrize(
    ("clause", "connection"), [("`us.gemini`", "us.gemini"), ("p.us.gemini", "p.us.gemini"), ("DEFAULT", "DEFAULT")]
)
def test_the_connection_of_a_remote_model_is_parsed(clause: str, connection: str) -> None:
    statement = parse(f"CREATE MODEL d.m REMOTE WITH CONNECTION {clause} OPTIONS(ENDPOINT='gemini-2.5-flash')")

    assert isinstance(statement, CreateModel)
    assert statement.connection == connection
    assert statement.options == {"ENDPOINT": "gemini-2.5-flash"}


def test_alter_drop_and_export_are_parsed() -> None:
    reference = ModelReference("home", "d", "m")

    assert parse("DROP MODEL IF EXISTS d.m;") == DropModel(reference, if_exists=True)
    assert parse("EXPORT MODEL d.m OPTIONS(URI='gs://b/p')") == ExportModel(reference, {"URI": "gs://b/p"})
    assert parse(
        "ALTER MODEL IF EXISTS d.m SET OPTIONS(labels=[('a', 'b'), STRUCT('c', 'd')], description=NULL, "
        "expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))"
    ) == AlterModel(
        reference,
        if_exists=True,
        options={
            "LABELS": [("a", "b"), ("c", "d")],
            "DESCRIPTION": None,
            "EXPIRATION_TIMESTAMP": Expression("TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)"),
        },
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)",
        "CREATE TABLE d.model AS SELECT 1 AS model",
        "DROP TABLE d.model",
        "SELECT 'CREATE MODEL d.m'",
    ],
)
def test_other_statements_are_not_model_statements(sql: str) -> None:
    assert parse(sql) is None


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "CREATE MODEL `PROJECT_ID:bqml_tutorial.imported_tf_model` OPTIONS(MODEL_TYPE='TENSORFLOW' "
            "MODEL_PATH='gs://cloud-training-demos/*')",
            'Syntax error: Expected ")" but got identifier "MODEL_PATH" at [1:91]',
        ),
        (
            "CREATE OR REPLACE MODEL `mydataset.my_kmeans_model`\n  MODEL_TYPE = 'KMEANS',\n  MODEL_REGISTRY = 'VERTEX_AI'",
            'Syntax error: Expected end of input but got identifier "MODEL_TYPE" at [2:3]',
        ),
        ("CREATE MODEL d.m OPTIONS(a='x',)", 'Syntax error: Unexpected ")" at [1:32]'),
        ("CREATE MODEL d.m OPTIONS a='x'", 'Syntax error: Expected "(" but got identifier "a" at [1:26]'),
        ("CREATE MODEL d.m OPTIONS(a='x'", 'Syntax error: Expected ")" but got end of statement at [1:31]'),
        ("CREATE MODEL d.m OPTIONS(a='x') b", 'Syntax error: Expected end of input but got identifier "b" at [1:33]'),
        ("CREATE MODEL d.m OPTIONS(5='x')", 'Syntax error: Expected ")" but got integer literal "5" at [1:26]'),
        ("CREATE MODEL d.m OPTIONS(a)", 'Syntax error: Expected "=" but got ")" at [1:27]'),
        (
            "CREATE MODEL d.m INPUT(a INT64) OPTIONS(b='x')",
            "Syntax error: Expected keyword OUTPUT but got keyword OPTIONS at [1:33]",
        ),
        (
            "CREATE MODEL IF EXISTS d.m OPTIONS(b='x')",
            "Syntax error: Expected keyword NOT but got keyword EXISTS at [1:17]",
        ),
        ("DROP MODEL", "Syntax error: Unexpected end of statement at [1:11]"),
        (
            "ALTER MODEL d.m SET OPTIONS description='x'",
            'Syntax error: Expected "(" but got identifier "description" at [1:29]',
        ),
    ],
)
def test_a_syntax_error_has_googlesqls_message(sql: str, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse(sql)

    assert (raised.value.message, raised.value.reason) == (message, "invalidQuery")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("`PROJECT:dataset.model`", 'Invalid dataset ID "PROJECT:dataset"'),
        ("`d.my-model`", 'Invalid model ID "my-model"'),
        ("`d.m d`", 'Invalid model ID "m d"'),
        ("m", 'Model name "m" missing dataset'),
    ],
)
def test_an_invalid_model_name_is_rejected(name: str, part: str) -> None:
    with pytest.raises(QueryError, match=part):
        parse(f"CREATE MODEL {name} OPTIONS(MODEL_TYPE='ONNX')")


WHOLE = (
    "CREATE OR REPLACE MODEL `a.b`.c INPUT(x INT64, y ARRAY<FLOAT64>) OUTPUT(z FLOAT64) REMOTE WITH CONNECTION `us.c` "
    "OPTIONS(a='x', b=[('k','v'), STRUCT('a','b')], c=-1.5, d=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY));",
    "ALTER MODEL IF EXISTS p-x.d.m SET OPTIONS(x=1e3, y=NULL)",
    "WITH RECURSIVE a AS (SELECT 1), b AS (WITH c AS (SELECT 2) SELECT * FROM c) SELECT AI.GENERATE(('a', b)) FROM "
    "ML.PREDICT(MODEL d.m, (SELECT * FROM a JOIN ML.PREDICT(MODEL d.n, TABLE b, STRUCT(1 AS x)))) -- c",
    "CREATE EXTERNAL TABLE d.t WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE', uris=['gs://b/*'])",
    "title STRING, parts ARRAY<STRUCT<a INT64, b FLOAT64>> OPTIONS(a='x')",
)
PIECES = (
    "(",
    ")",
    "[",
    "]",
    "'",
    '"',
    "`",
    ",",
    ";",
    "=",
    "MODEL",
    "AS",
    "WITH",
    "@",
    "\\",
    "/*",
    "-- ",
    "\n",
    ".",
    "é",
    "\x00",
)


@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 400), st.sampled_from(("", *PIECES)), st.integers(0, 9)))
)
def test_broken_text_raises_only_query_errors(whole: str, breaks: list[tuple[int, str, int]]) -> None:
    for place, piece, removed in breaks:
        whole = whole[:place] + piece + whole[place + removed :]
    readers = (
        parse,
        lambda sql: parse_object_table(sql, project="home", default_dataset=None),
        lambda sql: list(find_calls(sql, REWRITTEN_FUNCTIONS, Span(0, len(sql)))),
        find_common_tables,
        parse_output_schema,
    )

    for read in readers:
        with suppress(QueryError):
            read(whole)
