"""The contract check finds breaches of Google's API descriptions: each case is an exchange that breaks one rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from localcloud.apis.contract import Contract
from localcloud.apis.discovery import (
    CALL,
    DOWNLOAD,
    UPLOAD,
    UPLOAD_PART,
    Discovery,
)
from localcloud.apis.recorder import Exchange

INSERT_JOB = Exchange(
    service="bigquery",
    method="bigquery.jobs.insert",
    kind=CALL,
    caller="predict",
    verb="POST",
    path="/bigquery/v2/projects/p/jobs",
    query=[("prettyPrint", "false")],
    request={"configuration": {"query": {"query": "SELECT 1", "useLegacySql": False}, "labels": {"a": "b"}}},
    status=200,
    answer_type="application/json",
    answer={"kind": "bigquery#job", "statistics": {"creationTime": "1", "query": {"totalBytesProcessed": "0"}}},
)
GET_OBJECT = Exchange(
    service="storage",
    method="storage.objects.get",
    kind=CALL,
    caller=None,
    verb="GET",
    path="/storage/v1/b/bucket/o/a%2Fb",
    query=[("projection", "noAcl")],
    request=None,
    status=200,
    answer_type="application/json",
    answer={"name": "a/b", "generation": "1", "timeCreated": "2026-01-01T00:00:00.000Z", "metadata": {"any": "thing"}},
)
CREATE_BATCH = Exchange(
    service="vertex",
    method="aiplatform.projects.locations.batchPredictionJobs.create",
    kind=CALL,
    caller="submit_batch",
    verb="POST",
    path="/v1/projects/p/locations/l/batchPredictionJobs",
    query=[("$alt", "json;enum-encoding=int")],
    request={"displayName": "d", "inputConfig": {"instancesFormat": "bigquery"}},
    status=200,
    answer_type="application/json",
    answer={
        "name": "projects/p/locations/l/batchPredictionJobs/1",
        "state": 2,
        "completionStats": {"failedCount": "0"},
    },
)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.mark.parametrize("exchange", [INSERT_JOB, GET_OBJECT, CREATE_BATCH], ids=lambda each: each.method)
def test_an_allowed_exchange_has_no_breach(contract: Contract, exchange: Exchange) -> None:
    assert contract.breaches_of_request(exchange) == []
    assert contract.breaches_of_answer(exchange) == []


@pytest.mark.parametrize(
    ("exchange", "breach"),
    [
        (
            replace(INSERT_JOB, path="/bigquery/v2/projects/p/job"),
            "POST /bigquery/v2/projects/p/job is not a method of",
        ),
        (replace(INSERT_JOB, query=[("dryRun", "true")]), "there is no parameter dryRun"),
        (
            replace(INSERT_JOB, request={"configuration": {"query": {"sql": ""}}}),
            "configuration.query has no field sql",
        ),
        (replace(INSERT_JOB, request={"configuration": []}), "request.configuration is not of type object: []"),
        (replace(INSERT_JOB, request={"configuration": {"dryRun": "yes"}}), "dryRun is not of type boolean: 'yes'"),
        (
            replace(INSERT_JOB, request={"configuration": {"jobTimeoutMs": "1 s"}}),
            "jobTimeoutMs is not of format int64: '1 s'",
        ),
        (replace(GET_OBJECT, query=[("generation", "x")]), "the parameter generation is not of type int64: x"),
        (
            replace(GET_OBJECT, query=[("projection", "none")]),
            "the parameter projection is not one of ['full', 'noAcl']",
        ),
        (
            replace(GET_OBJECT, query=[("softDeleted", "perhaps")]),
            "the parameter softDeleted is not of type boolean: perhaps",
        ),
        (replace(GET_OBJECT, request={"name": "x"}), "the method takes no body"),
        (
            replace(GET_OBJECT, verb="GET", path="/storage/v1/b", query=[]),
            "the parameter project is required",
        ),
        (replace(CREATE_BATCH, request={"labels": {"a": 1}}), "request.labels.a is not of type string: 1"),
    ],
)
def test_a_breach_in_a_request_is_found(contract: Contract, exchange: Exchange, breach: str) -> None:
    assert any(breach in each for each in contract.breaches_of_request(exchange))


@pytest.mark.parametrize(
    ("exchange", "answer", "breach"),
    [
        (INSERT_JOB, {"jobReference": {"jobid": "x"}}, "response.jobReference has no field jobid in JobReference"),
        (INSERT_JOB, {"statistics": {"creationTime": 1}}, "response.statistics.creationTime is not of type string: 1"),
        (INSERT_JOB, {"statistics": {"completionRatio": "0.5"}}, "completionRatio is not of type number: '0.5'"),
        (INSERT_JOB, {"status": None}, "response.status is not of type object: None"),
        (INSERT_JOB, {"configuration": {"dryRun": 1}}, "response.configuration.dryRun is not of type boolean: 1"),
        (INSERT_JOB, None, "the response has no JSON body, but must be a Job"),
        (GET_OBJECT, {"timeCreated": "yesterday"}, "response.timeCreated is not of format date-time: 'yesterday'"),
        (GET_OBJECT, {"acl": {}}, "response.acl is not of type array: {}"),
        (replace(CREATE_BATCH, query=[]), {"state": 2}, "response.state is not of type string: 2"),
        (CREATE_BATCH, {"state": "JOB_STATE_DONE"}, "response.state is not one of"),
    ],
)
def test_a_breach_in_a_response_is_found(contract: Contract, exchange: Exchange, answer: Any, breach: str) -> None:
    assert any(breach in each for each in contract.breaches_of_answer(replace(exchange, answer=answer)))


@pytest.mark.parametrize(
    ("body", "breach"),
    [
        (None, "the body of the 404 has no error"),
        ({"detail": "Not Found"}, "the body of the 404 has no error"),
        ({"error": {"code": "404", "message": "x"}}, "error.code is '404', but the status is 404"),
        ({"error": {"code": 404}}, "error.message is None"),
        ({"error": {"code": 404, "message": "x", "type": "y"}}, "error has no field type"),
        ({"error": {"code": 404, "message": "x", "errors": [{"message": "x"}]}}, "error.errors[] lacks reason"),
    ],
)
def test_an_error_body_that_is_not_in_googles_form_is_found(contract: Contract, body: Any, breach: str) -> None:
    rejected = replace(GET_OBJECT, status=404, answer=body)
    assert any(breach in each for each in contract.breaches_of_answer(rejected))


def test_the_error_of_a_download_may_be_plain_text(contract: Contract) -> None:
    rejected = replace(GET_OBJECT, status=404, query=[("alt", "media")], answer_type="text/html", answer=None)
    assert contract.breaches_of_answer(rejected) == []


def test_media_is_not_checked_as_a_resource(contract: Contract) -> None:
    upload = replace(
        GET_OBJECT,
        verb="POST",
        path="/upload/storage/v1/b/bucket/o",
        kind=UPLOAD,
        query=[("uploadType", "media"), ("name", "x.json")],
        request={"a model's own": "JSON"},
    )
    download = replace(GET_OBJECT, query=[("alt", "media")], answer={"a model's own": "JSON"})
    assert contract.breaches_of_request(upload) == []
    assert contract.breaches_of_answer(download) == []


@pytest.mark.parametrize(
    ("service", "verb", "path", "method", "kind"),
    [
        ("storage", "POST", "/upload/storage/v1/b/b/o", "storage.objects.insert", UPLOAD),
        ("storage", "PUT", "/resumable/upload/storage/v1/b/b/o", "storage.objects.insert", UPLOAD_PART),
        ("storage", "GET", "/storage/v1/b/b/o/a%2Fb", "storage.objects.get", CALL),
        ("storage", "GET", "/download/storage/v1/b/b/o/a%2Fb", "storage.objects.get", DOWNLOAD),
        ("storage", "POST", "/storage/v1/b/b/o/o/rewriteTo/b/c/o/p", "storage.objects.rewrite", CALL),
        ("bigquery", "POST", "/bigquery/v2/projects/p/jobs/j/cancel", "bigquery.jobs.cancel", CALL),
        ("bigquery", "GET", "/bigquery/v2/projects/p/datasets/d/models/m", "bigquery.models.get", CALL),
        (
            "vertex",
            "POST",
            "/v1/projects/p/locations/l/batchPredictionJobs/1:cancel",
            "aiplatform.projects.locations.batchPredictionJobs.cancel",
            CALL,
        ),
        (
            "vertex",
            "POST",
            "/v1beta1/projects/p/locations/l/publishers/google/models/g:generateContent",
            "aiplatform.projects.locations.publishers.models.generateContent",
            CALL,
        ),
        (
            "vertex",
            "GET",
            "/ui/projects/p/locations/l/operations/1",
            "aiplatform.projects.locations.operations.get",
            CALL,
        ),
        ("pubsub", "POST", "/v1/projects/p/topics/t:publish", "pubsub.projects.topics.publish", CALL),
        (
            "scheduler",
            "POST",
            "/v1/projects/p/locations/l/jobs/j:run",
            "cloudscheduler.projects.locations.jobs.run",
            CALL,
        ),
    ],
)
def test_a_call_has_the_name_of_its_method(service: str, verb: str, path: str, method: str, kind: str) -> None:
    call = Discovery().find(service, verb, path)
    assert call is not None
    assert (call.method.id, call.kind) == (method, kind)


@pytest.mark.parametrize("service", ["storage", "bigquery", "vertex", "pubsub", "scheduler", "spanner"])
def test_an_unknown_path_has_no_name(service: str) -> None:
    assert Discovery().find(service, "GET", "/v1/nothing/here/or/there") is None
