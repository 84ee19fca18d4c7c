"""Errors of Google's clients: which error of ours each one becomes, for each service."""

from __future__ import annotations

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.protobuf import json_format

from shared.cloud.bigquery import BIGQUERY
from shared.cloud.calls import CALL_SECONDS, Service
from shared.cloud.storage import STORAGE
from shared.cloud.vertex import VERTEX, VERTEX_CREATE
from shared.errors import (
    LONGEST_REASON,
    LostRace,
    ModeldropError,
    OutcomeUnknown,
    Rejected,
    TryLater,
)
from shared.events.publishing import PUBSUB

SERVICES = [BIGQUERY, VERTEX, VERTEX_CREATE, STORAGE, PUBSUB]

WRONG_REQUEST = exceptions.BadRequest("no such column")
NO_PERMISSION = exceptions.Forbidden("not for you")
NO_QUOTA = exceptions.TooManyRequests("slower")
FAILED = exceptions.ServiceUnavailable("out of order")
NOT_SIGNED_IN = exceptions.Unauthorized("who are you?")
OUTAGES = [
    requests.ConnectionError("connection reset"),
    TimeoutError("too slow"),
    exceptions.RetryError("gave up", cause=FAILED),
    auth_exceptions.RefreshError("no token"),
    json_format.ParseError("not JSON"),
]


def _error_of(service: Service, error: Exception, *, field: str | None = None) -> ModeldropError:
    with pytest.raises(ModeldropError) as raised, service.call(field=field):
        raise error
    assert raised.value.__cause__ is error
    return raised.value


def _bigquery_error(status: int, reason: str) -> exceptions.GoogleAPICallError:
    message = f"POST https://bigquery.example/jobs: {reason} happened"
    error: exceptions.GoogleAPICallError = exceptions.from_http_status(
        status, message, errors=[{"reason": reason, "message": f"{reason} happened"}]
    )
    return error


@pytest.mark.parametrize("service", [BIGQUERY, VERTEX_CREATE], ids=["BigQuery", "Vertex AI, create"])
@pytest.mark.parametrize("error", [WRONG_REQUEST, NO_PERMISSION], ids=["wrong request", "no permission"])
def test_a_submission_that_is_refused_for_good_is_rejected(service: Service, error: Exception) -> None:
    assert type(_error_of(service, error)) is Rejected


@pytest.mark.parametrize("service", [VERTEX, STORAGE, PUBSUB], ids=lambda service: service.name)
@pytest.mark.parametrize("error", [WRONG_REQUEST, NO_PERMISSION, FAILED, NO_QUOTA], ids=lambda error: str(error.code))
def test_no_refusal_of_another_call_is_the_requests_fault(service: Service, error: Exception) -> None:
    assert type(_error_of(service, error)) is TryLater


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_call_without_quota_is_tried_later(service: Service) -> None:
    assert type(_error_of(service, NO_QUOTA)) is TryLater


@pytest.mark.parametrize("error", [FAILED, NOT_SIGNED_IN, *OUTAGES], ids=lambda error: type(error).__name__)
def test_an_outage_leaves_only_the_outcome_of_a_vertex_create_unknown(error: Exception) -> None:
    assert type(_error_of(VERTEX_CREATE, error)) is OutcomeUnknown
    for service in (BIGQUERY, VERTEX, STORAGE, PUBSUB):
        assert type(_error_of(service, error)) is TryLater


@pytest.mark.parametrize(
    ("status", "reason", "becomes"),
    [
        (400, "invalidQuery", Rejected),
        (404, "notFound", Rejected),
        (403, "accessDenied", Rejected),
        (403, "quotaExceeded", TryLater),
        (400, "resourcesExceeded", TryLater),
        (503, "backendError", TryLater),
        (409, "duplicate", TryLater),
    ],
)
def test_bigquerys_reason_decides_before_the_status(status: int, reason: str, becomes: type[ModeldropError]) -> None:
    assert type(_error_of(BIGQUERY, _bigquery_error(status, reason))) is becomes


def test_a_rejection_has_the_services_words_and_the_field_but_no_address() -> None:
    error = _error_of(BIGQUERY, _bigquery_error(400, "invalidQuery"), field="input.query")
    assert isinstance(error, Rejected)
    assert error.problem.as_json() == {
        "code": "invalidQuery",
        "message": "BigQuery: invalidQuery happened",
        "field": "input.query",
    }


def test_a_rejection_of_a_client_that_uses_rest_has_no_address() -> None:
    error = exceptions.NotFound("POST http://localhost:8080/v1/projects/p/jobs?%24alt=json: the model was not found")
    assert str(_error_of(VERTEX_CREATE, error)).endswith(": the model was not found")
    assert "localhost" not in str(_error_of(VERTEX_CREATE, error))


def test_vertex_ai_ignores_the_reasons_of_bigquery() -> None:
    error = _error_of(VERTEX_CREATE, _bigquery_error(503, "quotaExceeded"))
    assert type(error) is OutcomeUnknown


def test_an_error_that_the_caller_knows_is_raised_unchanged() -> None:
    missing = exceptions.NotFound("no such object")
    with pytest.raises(exceptions.NotFound) as raised, STORAGE.call(passes=(exceptions.NotFound,)):
        raise missing
    assert raised.value is missing


@pytest.mark.parametrize("error", [LostRace("another call"), ValueError("a bug")], ids=["ours", "a bug"])
def test_an_error_that_is_not_the_services_is_raised_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, STORAGE.call():
        raise error
    assert raised.value is error


def test_the_text_names_the_service_and_the_action_and_is_short() -> None:
    with pytest.raises(TryLater) as raised, STORAGE.call("list films/"):
        raise TimeoutError("too slow " * 1000)
    assert str(raised.value).startswith("Cloud Storage did not list films/: too slow too slow")
    assert len(str(raised.value)) < LONGEST_REASON + 50


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_call_has_a_time_limit(service: Service) -> None:
    with service.call() as options:
        assert options["timeout"] == CALL_SECONDS
    with service.call(timeout=5.0) as options:
        assert options["timeout"] == 5.0


def test_only_the_create_of_vertex_ai_is_never_repeated() -> None:
    assert [service.retry is None for service in SERVICES] == [False, False, True, False, False]
