"""The local Vertex AI accepts or rejects any JSON without failing."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.filters import compile_filter
from localcloud.vertex.batch.job_requests import parse_job
from localcloud.vertex.batch.jobs import FILTER_FIELDS
from localcloud.vertex.request_checks import check_fields
from tests.localcloud.vertex.world import PARENT

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def sometimes(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly valid values, sometimes arbitrary ones."""
    return st.integers(0, 9).flatmap(lambda dice: right if dice else ANYTHING)


def message(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any subset of the fields."""
    return st.fixed_dictionaries({}, optional={name: sometimes(value) for name, value in fields.items()})


TYPES = st.sampled_from(["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "string", "object", 1, 3, 6, 99])
SCHEMA = st.recursive(
    message(
        type=TYPES,
        enum=st.lists(st.text(max_size=3), max_size=2),
        minimum=st.integers(),
        maximum=st.floats(),
        format=st.text(),
    ),
    lambda inner: message(
        type=TYPES,
        items=inner,
        minItems=st.integers(-1, 5).map(str),
        maxItems=st.integers(-1, 5),
        properties=st.dictionaries(st.text(max_size=3), inner, max_size=3),
        propertyOrdering=st.lists(st.text(max_size=3), max_size=3),
        required=st.lists(st.text(max_size=3), max_size=2),
        anyOf=st.lists(inner, max_size=2),
        nullable=st.booleans(),
    ),
    max_leaves=4,
)
PART = message(
    text=st.text(max_size=8),
    inlineData=message(mimeType=st.just("image/png"), data=st.text(max_size=4)),
    file_data=message(mime_type=st.just("image/png"), file_uri=st.just("gs://b/x.png")),
    functionCall=ANYTHING,
)
CONTENT = message(role=st.sampled_from(["user", "model", "robot"]), parts=st.lists(sometimes(PART), max_size=2) | PART)
GENERATION = message(
    temperature=st.floats(),
    maxOutputTokens=st.integers(-1, 9),
    candidateCount=st.integers(-1, 9),
    stopSequences=st.lists(st.text(max_size=2), max_size=2),
    responseMimeType=st.sampled_from(["application/json", "text/x.enum", "text/plain"]),
    responseSchema=SCHEMA,
    responseJsonSchema=SCHEMA,
)
REQUEST = message(
    contents=st.lists(sometimes(CONTENT), max_size=2) | CONTENT,
    systemInstruction=CONTENT,
    tools=ANYTHING,
    generationConfig=GENERATION,
)
VALID_CONTENT = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
IN_JSON = GENERATION.map(
    lambda config: VALID_CONTENT | {"generationConfig": config | {"responseMimeType": "application/json"}}
)


@given(REQUEST | IN_JSON)
def test_any_request_gets_a_response_or_an_error(request: Any) -> None:
    try:
        response = EchoBackend().generate("gemini-2.5-flash", request)
    except BackendError as refused:
        assert refused.code == 400
    else:
        assert json.loads(json.dumps(response))["candidates"]


@given(REQUEST)
def test_the_fields_of_any_request_are_accepted_or_named(request: Any) -> None:
    try:
        check_fields("GenerateContentRequest", request, "v1beta1")
    except BackendError as refused:
        assert refused.code == 400
        assert refused.message


JOB = message(
    displayName=st.text(max_size=4),
    model=st.just("publishers/google/models/gemini-2.5-flash"),
    inputConfig=message(
        instancesFormat=st.sampled_from(["bigquery", "jsonl"]),
        bigquerySource=message(inputUri=st.just("bq://a.b.c") | st.text()),
        gcsSource=message(uris=st.lists(st.just("gs://a/b") | st.text(), max_size=2)),
    ),
    outputConfig=message(
        predictionsFormat=st.sampled_from(["bigquery", "jsonl"]),
        bigqueryDestination=message(outputUri=st.just("bq://a.b") | st.text()),
        gcsDestination=message(outputUriPrefix=st.just("gs://a") | st.text()),
    ),
    labels=st.dictionaries(st.text(max_size=3), sometimes(st.text(max_size=3)), max_size=2),
)


@given(JOB)
def test_any_job_is_accepted_or_rejected(body: Any) -> None:
    try:
        request = parse_job(body, PARENT)
    except RequestError as refused:
        assert refused.status == "INVALID_ARGUMENT"
    else:
        assert request.given.keys() <= body.keys()


WORDS = st.sampled_from(
    [
        "display_name",
        "state",
        "labels.a",
        "=",
        "!=",
        ":",
        ">",
        '"x*"',
        "JOB_STATE_FAILED",
        "AND",
        "OR",
        "NOT",
        "(",
        ")",
        " ",
    ]
)


@given(st.lists(WORDS | st.text(max_size=2), max_size=12).map("".join))
def test_any_filter_is_compiled_or_rejected(text: str) -> None:
    job = {"displayName": "x", "state": "JOB_STATE_FAILED", "createTime": "2026-01-01T00:00:00Z"}
    try:
        passes = compile_filter(text, FILTER_FIELDS)
    except RequestError as refused:
        assert refused.status == "INVALID_ARGUMENT"
    else:
        assert passes(job) in (True, False)
