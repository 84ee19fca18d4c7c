"""Remote models: the functions that generate text over tables, queries and object tables."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.base.clock import ManualClock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.generating.output_schema import parse_output_schema
from localcloud.bigquery.ml.models.remote import check_endpoint, remote_model_info
from localcloud.bigquery.ml.models.statements import CreateModel, parse_statement
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import ModelTable
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world

# The models that Vertex AI serves on this day.
SERVED = ModelTable(ManualClock(datetime(2026, 11, 26, tzinfo=UTC)))


class PickyBackend:
    """The echo backend, which also records its requests and rejects some prompts."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._echo = EchoBackend()
        self._lock = threading.Lock()

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.requests.append((model, request))
        text = request["contents"][0]["parts"][0]["text"]
        if "busy" in text:
            raise BackendError(429, "Resource exhausted")
        if "bad" in text:
            raise BackendError(400, "The prompt is bad.")
        return self._echo.generate(model, request)


@pytest.fixture(scope="module")
def backend() -> PickyBackend:
    return PickyBackend()


@pytest.fixture(scope="module")
def world(backend: PickyBackend) -> Iterator[MlWorld]:
    with ml_world(backend=backend) as running:
        running.run(
            "CREATE OR REPLACE MODEL `d.gemini` REMOTE WITH CONNECTION `us.gemini_conn` "
            "OPTIONS(endpoint = 'gemini-3.8-flash')"
        )
        for name in ("jaws", "psycho"):
            running.store.write("models", f"posters/{name}.jpg", name.encode(), content_type="image/jpeg")
        running.run(
            "CREATE OR REPLACE EXTERNAL TABLE `d.movie_posters` WITH CONNECTION `us.gemini_conn` "
            "OPTIONS(object_metadata = 'SIMPLE', uris = ['gs://bucket/posters/*'])"
        )
        running.run(
            "CREATE TABLE d.prompts AS SELECT * FROM UNNEST("
            "[STRUCT(1 AS id, 'say one' AS prompt), STRUCT(2, 'busy'), STRUCT(3, 'bad'), "
            "STRUCT(4, NULL)])"
        )
        yield running


def by_id(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def test_the_resource_contains_connection_and_endpoint(world: MlWorld) -> None:
    model = world.model("gemini")

    assert model["remoteModelInfo"] == {
        "connection": f"{PROJECT}.us.gemini_conn",
        "endpoint": f"https://aiplatform.us.rep.googleapis.com/v1/projects/{PROJECT}/locations/us"
        "/publishers/google/models/gemini-3.8-flash",
    }
    assert "trainingRuns" not in model


def test_the_statements_of_the_movie_posters_lab_send_each_poster(world: MlWorld, backend: PickyBackend) -> None:
    backend.requests.clear()
    world.run(
        """CREATE OR REPLACE TABLE `d.movie_posters_results` AS (
        SELECT uri, ml_generate_text_llm_result
        FROM ML.GENERATE_TEXT(MODEL `d.gemini`, TABLE `d.movie_posters`,
          STRUCT(0.2 AS temperature,
            'For the movie represented by this poster, what is the movie title and year of release? '
            AS PROMPT, TRUE AS FLATTEN_JSON_OUTPUT)))"""
    )

    rows = sorted(world.rows("SELECT * FROM d.movie_posters_results"), key=lambda row: row["uri"])
    assert [row["uri"] for row in rows] == ["gs://models/posters/jaws.jpg", "gs://models/posters/psycho.jpg"]
    assert "what is the movie title" in rows[0]["ml_generate_text_llm_result"]
    assert {model for model, _ in backend.requests} == {"gemini-3.8-flash"}
    request = next(r for _, r in backend.requests if "jaws" in json.dumps(r))
    assert request["contents"][0]["parts"][1] == {
        "fileData": {"fileUri": "gs://models/posters/jaws.jpg", "mimeType": "image/jpeg"}
    }
    assert request["generationConfig"] == {"temperature": 0.2, "topP": 0.95, "maxOutputTokens": 1024}


def test_a_failed_row_has_its_error_in_the_status(world: MlWorld) -> None:
    rows = by_id(
        world.rows(
            "SELECT * FROM ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT(TRUE AS flatten_json_output))"
        )
    )

    assert rows[1]["ml_generate_text_llm_result"] == "Echo: say one"
    assert {number: row["ml_generate_text_status"] for number, row in rows.items()} == {
        1: "",
        2: "A retryable error occurred: RESOURCE EXHAUSTED error from gemini-3.8-flash",
        3: "The prompt is bad.",
        4: "The prompt is NULL.",
    }
    assert [rows[number]["ml_generate_text_llm_result"] for number in (2, 3, 4)] == [None, None, None]


def test_the_result_is_the_whole_response_without_flattening(world: MlWorld) -> None:
    rows = world.rows(
        "SELECT ml_generate_text_status AS status, "
        "JSON_VALUE(ml_generate_text_result, '$.candidates[0].content.parts[0].text') AS text "
        "FROM ML.GENERATE_TEXT(MODEL d.gemini, (SELECT CONCAT('a ', 'b') AS prompt))"
    )

    assert rows == [{"status": "", "text": "Echo: a b"}]
    assert world.dry_run("SELECT * FROM ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts)")[:2] == [
        ("ml_generate_text_result", "JSON", "NULLABLE"),
        ("ml_generate_text_status", "STRING", "NULLABLE"),
    ]


def test_ai_generate_text_returns_its_columns(world: MlWorld) -> None:
    rows = world.rows("SELECT * FROM AI.GENERATE_TEXT(MODEL d.gemini, (SELECT 'hello' AS prompt, 7 AS id))")

    assert (rows[0]["result"], rows[0]["status"], rows[0]["id"]) == ("Echo: hello", "", 7)
    assert rows[0]["full_response"]["modelVersion"].startswith("localcloud-echo")
    assert rows[0]["statistics"]["totalTokenCount"] > 0


def test_ai_generate_table_returns_typed_columns(world: MlWorld, backend: PickyBackend) -> None:
    backend.requests.clear()
    rows = world.rows(
        "SELECT * FROM AI.GENERATE_TABLE(MODEL d.gemini, (SELECT 'Jaws' AS prompt, 7 AS id), STRUCT("
        "'title STRING, year INT64, tags ARRAY<STRING>, cast_ ARRAY<STRUCT<name STRING, paid FLOAT64>>, good BOOL' "
        "AS output_schema, 512 AS max_output_tokens))"
    )

    row = rows[0]
    generated = json.loads(row["full_response"]["candidates"][0]["content"]["parts"][0]["text"])
    assert {name: row[name] for name in ("title", "year", "tags", "cast_", "good")} == generated
    assert isinstance(row["year"], int)
    assert (row["status"], row["id"]) == ("", 7)
    generation = backend.requests[0][1]["generationConfig"]
    assert generation["maxOutputTokens"] == 512
    assert generation["responseSchema"]["properties"]["cast_"]["items"]["properties"]["paid"] == {"type": "NUMBER"}


def test_ai_generate_is_an_expression(world: MlWorld, backend: PickyBackend) -> None:
    backend.requests.clear()
    rows = by_id(
        world.rows(
            "SELECT id, AI.GENERATE(('Tell: ', prompt), endpoint => 'gemini-3.5-flash', connection_id => 'us.c').result AS r, "
            "AI.GENERATE(prompt, output_schema => 'answer STRING, n INT64') AS typed FROM d.prompts WHERE id IN (1, 3)"
        )
    )

    assert rows[1]["r"] == "Echo: Tell: \nsay one"
    assert rows[1]["typed"]["status"] == ""
    assert isinstance(rows[1]["typed"]["n"], int)
    assert rows[3]["typed"]["status"] == "The prompt is bad."
    assert sorted({model for model, _ in backend.requests}) == ["gemini-3.5-flash", "gemini-3.8-flash"]


def test_model_params_are_sent_unchanged(world: MlWorld, backend: PickyBackend) -> None:
    backend.requests.clear()
    world.rows(
        "SELECT * FROM AI.GENERATE_TEXT(MODEL d.gemini, (SELECT 'x' AS prompt), STRUCT("
        'JSON \'{"generation_config": {"thinking_config": {"thinking_budget": 0}}}\' AS model_params))'
    )

    assert backend.requests[0][1]["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("ML.GENERATE_TEXT(MODEL d.gemini, (SELECT 1 AS a))", "Column prompt is not found"),
        ("ML.GENERATE_TEXT(MODEL d.gemini, (SELECT 1 AS prompt))", "must be a STRING or a STRUCT, not INT64"),
        ("ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT(3 AS temperature))", "from 0 to 1"),
        ("ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT(3 AS warmth))", "nknown argument warmth"),
        ("ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT('x' AS prompt))", "is for an object table"),
        (
            "AI.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT(TRUE AS flatten_json_output))",
            "nknown argument flatten",
        ),
        ("AI.GENERATE_TABLE(MODEL d.gemini, TABLE d.prompts)", "output_schema is required"),
        ("AI.GENERATE_TABLE(MODEL d.gemini, TABLE d.prompts, STRUCT('a DATE' AS output_schema))", "type DATE is not"),
        (
            "AI.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT('{}' AS model_params, 0.5 AS temperature))",
            "can't be given together",
        ),
        (
            "AI.GENERATE_TABLE(MODEL d.gemini, TABLE d.prompts, STRUCT('a INT64, A STRING' AS output_schema))",
            "comes twice",
        ),
        (
            "AI.GENERATE_TABLE(MODEL d.gemini, TABLE d.prompts, STRUCT('status STRING' AS output_schema))",
            "field status",
        ),
        ("ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT('yes' AS flatten_json_output))", "must be a BOOL"),
        (
            "ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT('x' AS stop_sequences))",
            "must be an ARRAY<STRING>",
        ),
        (
            "ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT([STRUCT('HARM' AS category, 'LOW' AS threshold)] AS "
            "safety_settings))",
            "Invalid value at 'safety_settings[0].category'",
        ),
        ("ML.GENERATE_TEXT(MODEL d.gemini, TABLE d.prompts, STRUCT('{\"x\": 1}' AS model_params))", 'Unknown name "x"'),
        ("UNNEST([AI.GENERATE('a', temperature => 0.5)])", "unknown argument temperature"),
        ("UNNEST([AI.GENERATE(5)])", "No matching signature for function AI.GENERATE for argument types: INT64"),
        ("UNNEST([AI.IF('a', endpoint => 'text-embedding-005')])", "text-embedding-005 returns embeddings"),
        ("UNNEST([AI.GENERATE()])", "Invalid call of AI.GENERATE: It takes a prompt. at [1:23]"),
        ("ML.PREDICT(MODEL d.gemini, TABLE d.prompts)", "not supported for the remote model"),
        ("ML.GENERATE_TEXT(MODEL d.none, TABLE d.prompts)", f"Not found: Model {PROJECT}:learning.none"),
    ],
)
def test_an_invalid_call_is_rejected_before_a_request_is_sent(
    world: MlWorld, backend: PickyBackend, call: str, part: str
) -> None:
    backend.requests.clear()

    assert part in world.refusal(f"SELECT * FROM {call}", dry_run=True)[1]
    assert backend.requests == []


@pytest.mark.parametrize(
    ("clauses", "part"),
    [
        ("REMOTE WITH CONNECTION `us.c` OPTIONS()", "Missing required option: ENDPOINT"),
        ("REMOTE WITH CONNECTION `us.c` OPTIONS(ENDPOINT='x', KMS_KEY_NAME='k')", "Unknown option: KMS_KEY_NAME"),
        ("REMOTE WITH CONNECTION `c` OPTIONS(ENDPOINT='x')", "Invalid connection 'c'"),
        ("REMOTE WITH CONNECTION `us.c` OPTIONS(ENDPOINT='gemini-2.0-flash-001')", "it is retired or unknown"),
        ("REMOTE WITH CONNECTION `us.c` OPTIONS(REMOTE_SERVICE_TYPE='CLOUD_AI_VISION_V1')", "not available"),
        ("REMOTE WITH CONNECTION `us.c` OPTIONS(ENDPOINT='gemini-2.5-flash', MAX_BATCHING_ROWS='9')", "positive INT64"),
        (
            "REMOTE WITH CONNECTION `us.c` OPTIONS(ENDPOINT='gemini-2.5-flash') AS SELECT 1 AS a",
            "which tunes the model",
        ),
    ],
)
def test_an_invalid_remote_model_is_rejected(world: MlWorld, clauses: str, part: str) -> None:
    assert part in world.refusal(f"CREATE MODEL d.refused {clauses}")[1]


def test_a_remote_model_cannot_be_registered(world: MlWorld) -> None:
    message = world.refusal("ALTER MODEL d.gemini SET OPTIONS(vertex_ai_model_id='x')")[1]

    assert message == "Remote models can't be registered in the Vertex AI Model Registry."


@pytest.mark.parametrize("text", ["", "a", "a STRING b STRING", "a ARRAY<STRING", "a STRING,"])
def test_an_invalid_output_schema_is_rejected(text: str) -> None:
    with pytest.raises(QueryError, match="Invalid output_schema"):
        parse_output_schema(text)


@pytest.mark.parametrize(
    ("location", "name", "host", "place"),
    [
        ("US", "text-embedding-005", "us-central1-aiplatform", "us-central1"),
        ("EU", "text-embedding-005", "europe-west4-aiplatform", "europe-west4"),
        ("asia-east1", "text-embedding-005", "asia-east1-aiplatform", "asia-east1"),
        ("EU", "gemini-3.8-flash", "aiplatform.eu.rep", "eu"),
        ("asia-east1", "gemini-3.8-flash", "aiplatform", "global"),
    ],
)
def test_a_model_is_found_by_its_name_where_it_is_served(location: str, name: str, host: str, place: str) -> None:
    statement = parse_statement(
        f"CREATE MODEL d.m REMOTE WITH CONNECTION DEFAULT OPTIONS(ENDPOINT='{name}')", project="p", default_dataset=None
    )
    assert isinstance(statement, CreateModel)
    info = remote_model_info(statement, location, SERVED)
    expected = f"https://{host}.googleapis.com/v1/projects/p/locations/{place}/publishers/google/models/{name}"
    assert info["endpoint"] == expected
    check_endpoint(expected, SERVED)


VERTEX_AI = "https://aiplatform.googleapis.com/v1/projects/p/locations"


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("gemini-9-nonsense", "it is retired or unknown"),
        ("gemini-1.5-pro-002", "it is retired or unknown"),
        (f"{VERTEX_AI}/us-central1/publishers/google/models/gemini-3.8-flash", "was not found"),
        (f"{VERTEX_AI}/global/publishers/google/models/gemini-2.0-flash", "was not found"),
        (f"{VERTEX_AI}/global/publishers/anthropic/models/gemini-3.8-flash", "was not found"),
        ("https://example.com/gemini-3.8-flash", "It must be the name of a model, or a URL such as"),
    ],
)
def test_an_endpoint_whose_model_is_not_served_is_refused(endpoint: str, text: str) -> None:
    with pytest.raises(QueryError, match=re.escape(text)):
        check_endpoint(endpoint, SERVED)


def test_a_query_with_a_retired_model_fails(world: MlWorld) -> None:
    query = "SELECT AI.GENERATE('x', endpoint => 'gemini-2.0-flash-001').result"
    assert "it is retired or unknown" in world.refusal(query)[1]
