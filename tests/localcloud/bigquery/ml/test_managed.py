"""AI.IF, AI.SCORE, AI.CLASSIFY and AI.GENERATE_BOOL, _INT and _DOUBLE, and what a job reports about its calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.gemini.errors import BackendError
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world

# The answer to each input.
ANSWERS = {"good": [True, 4, 0.5, "praise", ["praise"]], "mixed": [False, 2, 0.25, "blame", ["praise", "blame"]]}


class AnsweringBackend:
    """Answers an input with the first of its answers that has the type in the request's schema."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.requests.append(request)
        text = request["contents"][0]["parts"][-1]["text"]
        if text == "busy":
            raise BackendError(429, "Resource exhausted")
        kind = request["generationConfig"]["responseSchema"]["properties"]["result"]["type"]
        types: dict[str, Any] = {"BOOLEAN": bool, "INTEGER": int, "NUMBER": float, "STRING": str, "ARRAY": list}
        result = next((each for each in ANSWERS.get(text, []) if type(each) is types[kind]), "other")
        parts = [{"text": json.dumps({"result": result})}]
        return {"candidates": [{"content": {"role": "model", "parts": parts}}]}


@pytest.fixture(scope="module")
def backend() -> AnsweringBackend:
    return AnsweringBackend()


@pytest.fixture(scope="module")
def world(backend: AnsweringBackend) -> Iterator[MlWorld]:
    """A BigQuery with a table ``d.t`` of inputs."""
    with ml_world(backend=backend) as running:
        running.run("CREATE TABLE d.t AS SELECT * FROM UNNEST(['good', 'mixed', 'busy', 'odd']) AS s")
        yield running


@pytest.mark.parametrize(
    ("call", "good", "mixed"),
    [
        ("AI.IF(('This is praise: ', s))", True, False),
        (
            "AI.IF(s, examples => [('fine', TRUE), ('bad', FALSE)], optimization_mode => 'maximize_quality')",
            True,
            False,
        ),
        ("AI.SCORE(prompt => s, max_error_ratio => 1.0)", 0.5, 0.25),
        ("AI.SCORE(s, max_error_ratio => 0.5)", 0.5, 0.25),
        ("AI.IF(s, embeddings => [0.1, 0.2], optimization_mode => 'MINIMIZE_COST')", True, False),
        ("AI.IF(('', s), embeddings => [STRUCT('s', [0.1])])", True, False),
        ("AI.IF(s, embeddings => [0.1], optimization_mode => 'MAXIMIZE_QUALITY', max_error_ratio => 0.9)", True, False),
        ("AI.CLASSIFY(s, ['praise', 'blame'])", "praise", "blame"),
        ("AI.CLASSIFY(s, categories => [('praise', 'warm'), ('blame', 'cold')])", "praise", "blame"),
        ("AI.CLASSIFY(s, [STRUCT('praise' AS label, 'warm' AS text), ('blame', 'cold')])", "praise", "blame"),
        ("AI.CLASSIFY(s, ['praise', 'blame'], output_mode => 'single')", ["praise"], ["blame"]),
        ("AI.CLASSIFY(s, ['praise', 'blame'], output_mode => 'multi')", ["praise"], ["praise", "blame"]),
        ("AI.GENERATE_BOOL(s, connection_id => 'us.c').result", True, False),
        ("AI.GENERATE_INT(s, endpoint => 'gemini-3.5-flash').result", 4, 2),
        ("AI.GENERATE_DOUBLE(s, model_params => JSON '{}', request_type => 'SHARED').result", 0.5, 0.25),
    ],
)
def test_each_row_has_the_answer_of_the_model_or_null(world: MlWorld, call: str, good: object, mixed: object) -> None:
    rows = {row["s"]: row["answer"] for row in world.rows(f"SELECT s, {call} AS answer FROM d.t")}
    nothing: list[object] | None = [] if isinstance(good, list) else None
    assert rows == {"good": good, "mixed": mixed, "busy": nothing, "odd": nothing}


def test_a_condition_filters_rows(world: MlWorld) -> None:
    assert world.rows("SELECT s FROM d.t WHERE AI.IF(('This is praise: ', s))") == [{"s": "good"}]


def test_a_typed_function_has_the_response_and_the_status(world: MlWorld) -> None:
    rows = world.rows("SELECT AI.GENERATE_INT(s) AS a FROM d.t WHERE s IN ('good', 'busy') ORDER BY s DESC")
    assert [list(row["a"]) for row in rows] == [["result", "full_response", "status"]] * 2
    assert [(row["a"]["result"], row["a"]["status"]) for row in rows] == [
        (4, ""),
        (None, "A retryable error occurred: RESOURCE EXHAUSTED error from gemini-3.8-flash"),
    ]


def test_the_request_describes_the_categories_and_examples(world: MlWorld, backend: AnsweringBackend) -> None:
    backend.requests.clear()
    world.rows(
        "SELECT AI.CLASSIFY('good', [('praise', 'warm'), ('blame', 'cold')], examples => [('so so', 'blame')]) AS c"
    )
    [request] = backend.requests
    assert request["systemInstruction"]["parts"][0]["text"].splitlines()[1:] == [
        "Categories:",
        "- praise: warm",
        "- blame: cold",
        "Examples:",
        "- so so: blame",
    ]
    schema = request["generationConfig"]["responseSchema"]["properties"]["result"]
    assert schema == {"type": "STRING", "enum": ["praise", "blame"]}


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("AI.IF()", "It takes a prompt"),
        ("AI.IF('x', 'y')", "argument 2 must have a name"),
        ("AI.IF('x', temperature => 0)", "Unknown argument temperature"),
        ("AI.IF('x', prompt => 'y')", "argument prompt comes twice"),
        ("AI.IF('x', examples => ['y'])", "inputs and outputs"),
        ("AI.IF('x', embeddings => 1)", "ARRAY_LENGTH"),
        (
            "AI.IF('x', embeddings => [0.1], max_error_ratio => 0.5)",
            "not supported with optimization_mode MINIMIZE_COST",
        ),
        (
            "AI.IF('x', optimization_mode => 'MINIMIZE_COST', max_error_ratio => 0.5)",
            "max_error_ratio is not supported",
        ),
        (
            "AI.CLASSIFY('x', ['a'], output_mode => 'multi', optimization_mode => 'MINIMIZE_COST')",
            "output_mode => 'multi' is not supported",
        ),
        ("AI.IF('x', optimization_mode => 'FAST')", "MINIMIZE_COST or MAXIMIZE_QUALITY"),
        ("AI.SCORE('x', max_error_ratio => 2)", "from 0.0 to 1.0"),
        ("AI.SCORE('x', embeddings => [0.1])", "Unknown argument embeddings"),
        ("AI.SCORE('x', connection_id => 'us.none')", "Not found: Connection local-project.us.none"),
        ("AI.SCORE('x', connection_id => 'none')", "must have the form location.connection"),
        ("AI.SCORE('x', endpoint => 'gemini-0')", "retired or unknown"),
        ("AI.CLASSIFY('x')", "categories are required"),
        ("AI.CLASSIFY('x', [])", "must be an array of texts"),
        ("AI.CLASSIFY('x', 'a')", "categories must be an array"),
        ("AI.CLASSIFY('x', ['a'], output_mode => 'all')", "single or multi"),
        ("AI.GENERATE_INT('x', output_schema => 'a INT64')", "Unknown argument output_schema"),
        ("AI.GENERATE_INT('x', model_params => '[]')", "model_params must be"),
    ],
)
def test_a_call_that_is_not_valid_is_rejected(world: MlWorld, call: str, problem: str) -> None:
    assert problem in world.refusal(f"SELECT {call}")[1]


def test_a_job_reports_the_rows_of_each_call(world: MlWorld) -> None:
    job = world.run("SELECT AI.IF(('Is this praise? ', s)) AS a, AI.SCORE(s) AS b FROM d.t")
    error = "A retryable error occurred: RESOURCE EXHAUSTED error from gemini-3.8-flash"
    found = job._properties["statistics"]["query"]["genAiStats"]
    by_name = {each["functionName"]: each for each in found["functionStats"]}
    assert {name: each["numProcessedRows"] for name, each in by_name.items()} == {"AI.IF": "4", "AI.SCORE": "4"}
    assert {name: each["prompt"] for name, each in by_name.items()} == {
        "AI.IF": "('Is this praise? ',",
        "AI.SCORE": "s",
    }
    failed = by_name["AI.IF"]["errorStats"]
    assert failed["numFailedRows"] == "2"
    assert sorted(failed["errors"])[0] == error
    assert error in found["errorStats"]["errors"]


FAILS = "AI.SCORE(s, max_error_ratio => 0.4)"


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT {FAILS} AS a FROM d.t",
        f"CREATE TABLE d.written AS SELECT {FAILS} AS a FROM d.t",
        f"CREATE TABLE d.written (a FLOAT64); INSERT d.written SELECT {FAILS} FROM d.t",
        f"SELECT 1; CREATE TABLE d.written AS SELECT {FAILS} AS a FROM d.t",
        f"EXPORT DATA OPTIONS (uri = 'gs://bucket/written/*', format = 'CSV') AS SELECT {FAILS} AS a FROM d.t",
    ],
)
def test_a_statement_with_more_failed_rows_than_allowed_fails_and_writes_nothing(
    world: MlWorld, statement: str
) -> None:
    message = world.refusal(statement)[1]
    assert "AI.SCORE failed for 2 of 4 rows, more than max_error_ratio 0.4 allows" in message
    assert "RESOURCE EXHAUSTED error from gemini-3.8-flash (1 rows)" in message
    assert world.rows("SELECT COUNT(*) AS n FROM d.written") == [{"n": 0}] if "INSERT" in statement else True
    world.run("DROP TABLE IF EXISTS d.written")
    assert world.store.list("models", "written/") == []


def test_a_statement_whose_rows_all_fail_fails(world: MlWorld) -> None:
    message = world.refusal("SELECT AI.IF(s) FROM d.t WHERE s = 'busy'")[1]
    assert "AI.IF failed for 1 of 1 rows, which is every row" in message
    assert world.rows("SELECT AI.IF(s) AS a FROM d.t WHERE s = 'none'") == []


def test_a_job_without_calls_reports_none(world: MlWorld) -> None:
    assert "genAiStats" not in world.run("SELECT s FROM d.t")._properties["statistics"]["query"]
