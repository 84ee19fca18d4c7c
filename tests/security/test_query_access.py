"""A message's query reads only readable datasets, and calls no remote model, also through views and routines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from google.cloud.bigquery import Routine

from localcloud.gemini.echo import EchoBackend
from shared.checks.identifiers import TableName
from shared.checks.query_guard import check_query
from shared.cloud.bigquery import BigQueryJobs
from shared.cloud.query_access import MOST_TABLES_LISTED, analyse_checked
from shared.cloud.query_jobs import Analysis, Query
from shared.errors import Rejected
from tests.example_requests import SETTINGS
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world

PREDICT = "ML.PREDICT(MODEL learning.gemini, (SELECT 'x' AS prompt))"
GENERATE = "ML.GENERATE_TEXT(MODEL learning.gemini, (SELECT 'x' AS prompt), STRUCT(TRUE AS flatten_json_output))"
DEFINITIONS = f"""
CREATE SCHEMA hidden;
CREATE TABLE hidden.t AS SELECT 'secret' AS s;
CREATE TABLE FUNCTION hidden.f() AS (SELECT * FROM hidden.t);
CREATE SCHEMA open;
CREATE TABLE open.t AS SELECT 'x' AS s;
CREATE VIEW open.v AS SELECT * FROM hidden.t;
CREATE VIEW open.nested AS SELECT s FROM open.v;
CREATE TABLE FUNCTION open.f() AS (SELECT s FROM hidden.t);
CREATE FUNCTION open.scalar() AS ((SELECT MAX(s) FROM hidden.t));
CREATE MODEL learning.gemini REMOTE WITH CONNECTION `us.c` OPTIONS (endpoint = 'gemini-3.8-flash');
CREATE VIEW open.generated AS SELECT * FROM {GENERATE};
CREATE VIEW open.around AS SELECT * FROM open.generated;
CREATE VIEW hidden.generated AS SELECT * FROM {GENERATE}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world(backend=EchoBackend()) as running:
        for definition in DEFINITIONS.strip().split(";\n"):
            running.client.query_and_wait(definition)
        paid = Routine(
            "local-project.open.paid",
            type_="SCALAR_FUNCTION",
            language="SQL",
            body="(SELECT COUNT(*) FROM open.around)",
        )
        running.client.create_routine(paid)
        yield running


def check(world: MlWorld, query: str, *, readable: tuple[str, ...] = (), allow_ai: bool = False) -> Analysis:
    """Check a query as the functions do."""
    settings = replace(SETTINGS, readable_datasets=readable, allow_ai_functions=allow_ai)
    check_query(query, field="input.query", allow_ai=allow_ai)
    jobs, bracketed = BigQueryJobs(world.client), Query(f"(\n{query}\n)", {})
    return analyse_checked(
        query, lambda: jobs.analyse(bracketed, "US", "input"), jobs, settings, "input", inside=bracketed.sql
    )


def test_an_error_names_the_line_of_the_query(world: MlWorld) -> None:
    with pytest.raises(Rejected, match=r"nothing at \[2:3\]"):
        check(world, "SELECT s,\n  nothing\nFROM open.t")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM hidden.t",
        "SELECT * FROM hidden.f()",
        "SELECT * FROM open.v",
        "SELECT * FROM open.nested",
        "SELECT * FROM open.f()",
        "SELECT open.scalar()",
        "SELECT s FROM open.t WHERE s IN (SELECT s FROM `local-project.open.v`)",
        "WITH c AS (SELECT * FROM open.f()) SELECT * FROM c",
    ],
)
def test_a_query_that_reaches_another_dataset_is_rejected(world: MlWorld, query: str) -> None:
    with pytest.raises(Rejected, match=r"hidden, which may not be read; allowed are open") as rejection:
        check(world, query, readable=("open",))
    assert rejection.value.problem.code == "dataset_not_allowed"
    assert check(world, query, readable=("open", "hidden")).statement == "SELECT"


def test_a_view_that_uses_a_model_is_read_in_its_dataset(world: MlWorld) -> None:
    with pytest.raises(Rejected, match="hidden, which may not be read"):
        check(world, "SELECT * FROM hidden.generated", readable=("open",), allow_ai=True)


def test_a_query_of_a_readable_dataset_is_accepted(world: MlWorld) -> None:
    assert [str(table) for table in check(world, "SELECT * FROM open.t", readable=("open",)).tables] == [
        "local-project.open.t"
    ]


def test_a_query_of_more_tables_than_bigquery_lists_is_rejected(world: MlWorld) -> None:
    listed = tuple(TableName("local-project", "open", f"t{number}") for number in range(MOST_TABLES_LISTED))
    analysis = Analysis("SELECT", (), listed, (), 0)
    settings = replace(SETTINGS, readable_datasets=("open",), allow_ai_functions=True)
    with pytest.raises(Rejected, match="50 tables or more"):
        analyse_checked("SELECT 1", lambda: analysis, BigQueryJobs(world.client), settings, "input")
    fewer = replace(analysis, tables=listed[1:])
    assert analyse_checked("SELECT 1", lambda: fewer, BigQueryJobs(world.client), settings, "input") == fewer


@pytest.mark.parametrize(
    ("query", "what"),
    [
        (f"SELECT * FROM {PREDICT}", "the remote model local-project.learning.gemini"),
        (f"SELECT * FROM {PREDICT.replace('learning.gemini', '`local-project.learning.gemini`')}", "the remote model"),
        (f"SELECT * FROM {PREDICT.replace('learning.', '`local-project`.learning.')}", "the remote model"),
        (f"SELECT * FROM {PREDICT.replace('learning.', 'local-project.learning.')}", "the remote model"),
        (f"SELECT * FROM {PREDICT.replace('MODEL ', 'model /* x */ ')}", "the remote model"),
        (f"SELECT (SELECT COUNT(*) FROM {PREDICT})", "the remote model"),
        (f"WITH c AS (SELECT * FROM {PREDICT}) SELECT * FROM c", "the remote model"),
        ("SELECT * FROM ML.EVALUATE(MODEL learning.gemini)", "the remote model"),
        ("SELECT * FROM open.generated", "ML.GENERATE_TEXT in the view local-project.open.generated"),
        ("SELECT * FROM `open.generated`", "ML.GENERATE_TEXT in the view local-project.open.generated"),
        ("SELECT * FROM local-project.open.generated", "ML.GENERATE_TEXT in the view"),
        ("SELECT * FROM open.around", "ML.GENERATE_TEXT in the view local-project.open.generated"),
        ("SELECT 1 FROM open.t, open.around", "ML.GENERATE_TEXT in the view"),
        ("SELECT 1 FROM open.t AS a JOIN (open.t AS b CROSS JOIN open.around) ON TRUE", "ML.GENERATE_TEXT in the view"),
        ("SELECT 1 FROM open.t AS a JOIN open.t AS b ON a.s = b.s, open.around", "ML.GENERATE_TEXT in the view"),
        ("FROM open.t |> CROSS JOIN open.around", "ML.GENERATE_TEXT in the view"),
        ("SELECT open.paid()", "ML.GENERATE_TEXT in the view local-project.open.generated"),
        ("SELECT AI.GENERATE('x')", "AI.GENERATE"),
    ],
)
def test_a_query_that_calls_a_remote_model_is_rejected(world: MlWorld, query: str, what: str) -> None:
    with pytest.raises(Rejected) as rejection:
        check(world, query)
    problem = rejection.value.problem
    assert problem.code == "invalid_query"
    assert f"{what}" in problem.message
    assert "calls a model of another service for each row" in problem.message
    assert "Name the model and the function in the message, with max_rows" in problem.message


def test_the_setting_allows_remote_models(world: MlWorld) -> None:
    assert check(world, "SELECT * FROM open.around", allow_ai=True).statement == "SELECT"


@pytest.mark.parametrize("query", ["SELECT s AS model FROM open.t", "SELECT t.s, x FROM open.t, UNNEST([t.s]) AS x"])
def test_a_query_without_models_is_accepted(world: MlWorld, query: str) -> None:
    assert check(world, query).statement == "SELECT"
