"""Jobs: when they run and what they do. The tests advance the clock."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import googleapiclient.discovery
import googleapiclient.errors
import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from localcloud.base.api_errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unimplemented,
)
from localcloud.base.clock import ManualClock, SystemClock
from localcloud.base.http import HttpServer
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.resources import Subscription
from localcloud.scheduler.job import RetryConfig, parse_job
from localcloud.scheduler.service import Scheduler
from localcloud.scheduler.shape import KEPT_FIELDS, UNSUPPORTED_FIELDS, check_path
from tests.localcloud.receiver import Receiver
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT, wait_until

PARENT = "projects/local-project/locations/us-central1"
POLL = f"{PARENT}/jobs/poll"
TOPIC = "projects/local-project/topics/predict"
SUBSCRIPTION = "projects/local-project/subscriptions/predict"


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 20, 9, 30, 20, tzinfo=UTC))


@pytest.fixture
def broker(clock):
    broker = Broker(clock=clock)
    broker.create_topic(TOPIC)
    broker.create_subscription(Subscription(SUBSCRIPTION, TOPIC))
    yield broker
    broker.close()


@pytest.fixture
def scheduler(broker, clock):
    scheduler = Scheduler(broker, clock=clock)
    scheduler.start()
    yield scheduler
    scheduler.stop()


@pytest.fixture
def function():
    with Receiver() as receiver:
        yield receiver


def http_job(function: Receiver, **settings: Any) -> dict[str, Any]:
    target = {
        "uri": f"{function.url}/poll",
        "headers": {"Content-Type": "application/json"},
        "body": base64.b64encode(b'{"tick": 1}').decode(),
    }
    return {"name": POLL, "schedule": "* * * * *", "httpTarget": target} | settings


def message_job(**settings: Any) -> dict[str, Any]:
    target = {
        "topicName": TOPIC,
        "data": base64.b64encode(b'{"model": "m"}').decode(),
        "attributes": {"source": "nightly"},
    }
    return {"name": f"{PARENT}/jobs/nightly", "schedule": "0 3 * * *", "pubsubTarget": target} | settings


def test_a_due_job_makes_the_documented_request(scheduler, clock, function):
    scheduler.jobs.create(http_job(function))
    clock.advance(39)
    assert function.requests == []
    clock.advance(1)
    (request,) = function.wait_for(1)
    assert (request.method, request.path, request.body) == ("POST", "/poll", b'{"tick": 1}')
    assert request.headers["user-agent"] == "Google-Cloud-Scheduler"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-cloudscheduler"] == "true"
    assert request.headers["x-cloudscheduler-jobname"] == "poll"
    assert request.headers["x-cloudscheduler-scheduletime"] == "2026-11-20T09:31:00.000Z"


def test_a_due_job_publishes_its_message(scheduler, broker, clock):
    scheduler.jobs.create(message_job())
    clock.advance(18 * 3600)
    wait_until(lambda: broker.backlog_size(SUBSCRIPTION))
    (received,) = broker.pull(SUBSCRIPTION, 10)
    assert received.message.data == b'{"model": "m"}'
    assert received.message.attributes == {"source": "nightly"}


def test_a_job_runs_once_each_time_it_is_due(scheduler, clock, function):
    scheduler.jobs.create(http_job(function))
    for count in range(1, 4):
        clock.advance(60)
        function.wait_for(count)
        wait_until(lambda: scheduler.jobs.get(POLL).get("status") == {})
    times = [request.headers["x-cloudscheduler-scheduletime"] for request in function.requests]
    assert times == [f"2026-11-20T09:{minute}:00.000Z" for minute in (31, 32, 33)]


def test_a_job_that_missed_several_times_runs_once(scheduler, clock, function):
    scheduler.jobs.create(http_job(function))
    clock.advance(3600)
    function.wait_for(1)
    wait_until(lambda: scheduler.jobs.get(POLL)["scheduleTime"] == "2026-11-20T10:31:00.000Z")
    clock.advance(30)
    assert len(function.requests) == 1


def test_a_job_shows_its_last_attempt(scheduler, clock, function):
    created = scheduler.jobs.create(http_job(function))
    assert created["state"] == "ENABLED"
    assert created["scheduleTime"] == "2026-11-20T09:31:00.000Z"
    assert created["userUpdateTime"] == "2026-11-20T09:30:20.000Z"
    assert "lastAttemptTime" not in created
    scheduler.jobs.run(POLL)
    wait_until(lambda: "status" in scheduler.jobs.get(POLL))
    assert scheduler.jobs.get(POLL)["lastAttemptTime"] == "2026-11-20T09:30:20.000Z"
    assert scheduler.jobs.get(POLL)["status"] == {}


@pytest.mark.parametrize(("answer", "code"), [(404, 5), (403, 7), (500, 13), (503, 14), (418, 2), (302, 2)])
def test_a_failed_job_has_a_google_rpc_code_as_its_status(scheduler, function, answer, code):
    function.answer = lambda request: answer
    scheduler.jobs.create(http_job(function))
    scheduler.jobs.run(POLL)
    wait_until(lambda: scheduler.jobs.get(POLL).get("status", {}).get("code") == code)
    assert len(function.requests) == 1


def test_an_unreachable_endpoint_is_unavailable(scheduler):
    absent = Receiver()
    scheduler.jobs.create(http_job(absent))
    absent.close()
    scheduler.jobs.run(POLL)
    wait_until(lambda: scheduler.jobs.get(POLL).get("status", {}).get("code") == 14)


def test_a_missing_topic_is_not_found(scheduler, broker):
    scheduler.jobs.create(message_job())
    broker.delete_topic(TOPIC)
    scheduler.jobs.run(f"{PARENT}/jobs/nightly")
    wait_until(lambda: scheduler.jobs.get(f"{PARENT}/jobs/nightly").get("status", {}).get("code") == 5)


def test_a_failed_attempt_is_retried_after_the_backoff(scheduler, clock, function):
    function.answer = lambda request: 500 if len(function.requests) < 3 else 200
    scheduler.jobs.create(
        http_job(function, schedule="0 3 * * *", retryConfig={"retryCount": 3, "minBackoffDuration": "10s"})
    )
    scheduler.jobs.run(POLL)
    function.wait_for(1)
    wait_until(lambda: "status" in scheduler.jobs.get(POLL))
    clock.advance(9)
    assert len(function.requests) == 1
    wait_until(lambda: clock.advance(1) or len(function.requests) == 2)
    wait_until(lambda: clock.advance(1) or len(function.requests) == 3)
    wait_until(lambda: scheduler.jobs.get(POLL)["status"] == {})
    times = {request.headers["x-cloudscheduler-scheduletime"] for request in function.requests}
    assert times == {"2026-11-20T09:30:20.000Z"}


def test_a_job_that_is_still_running_is_not_started_again(scheduler, clock, function):
    go_on = threading.Event()
    function.answer = lambda request: 200 if go_on.wait(LAST_LIMIT) else 500
    scheduler.jobs.create(http_job(function))
    clock.advance(60)
    function.wait_for(1)
    clock.advance(60)
    clock.advance(60)
    assert len(function.requests) == 1
    go_on.set()
    function.wait_for(2)
    wait_until(lambda: scheduler.jobs.get(POLL)["scheduleTime"] == "2026-11-20T09:34:00.000Z")
    assert len(function.requests) == 2


def test_a_resumed_job_does_not_make_up_for_missed_executions(scheduler, clock, function):
    scheduler.jobs.create(http_job(function))
    paused = scheduler.jobs.pause(POLL)
    assert paused["state"] == "PAUSED"
    assert "scheduleTime" not in paused
    with pytest.raises(FailedPrecondition):
        scheduler.jobs.pause(POLL)
    clock.advance(3600)
    resumed = scheduler.jobs.resume(POLL)
    assert (resumed["state"], resumed["scheduleTime"]) == ("ENABLED", "2026-11-20T10:31:00.000Z")
    assert function.requests == []
    clock.advance(40)
    function.wait_for(1)
    with pytest.raises(FailedPrecondition):
        scheduler.jobs.resume(POLL)


def test_a_paused_job_can_be_run_now(scheduler, function):
    scheduler.jobs.create(http_job(function))
    scheduler.jobs.pause(POLL)
    scheduler.jobs.run(POLL)
    function.wait_for(1)


def test_two_runs_now_overlap(scheduler, function):
    meeting = threading.Barrier(2)
    function.answer = lambda request: 200 if meeting.wait(LAST_LIMIT) >= 0 else 500
    scheduler.jobs.create(http_job(function))
    scheduler.jobs.run(POLL)
    scheduler.jobs.run(POLL)
    function.wait_for(2)
    wait_until(lambda: scheduler.jobs.get(POLL).get("status") == {})


def test_a_scheduled_execution_waits_for_the_end_of_a_run(scheduler, clock, function):
    go_on = threading.Event()
    function.answer = lambda request: 200 if go_on.wait(LAST_LIMIT) else 500
    scheduler.jobs.create(http_job(function))
    scheduler.jobs.run(POLL)
    function.wait_for(1)
    clock.advance(60)
    assert len(function.requests) == 1
    go_on.set()
    function.wait_for(2)


def test_a_deleted_job_does_not_run(scheduler, clock, function):
    scheduler.jobs.create(http_job(function))
    scheduler.jobs.create(http_job(function, name=f"{PARENT}/jobs/other"))
    scheduler.jobs.delete(POLL)
    clock.advance(60)
    (request,) = function.wait_for(1)
    assert request.headers["x-cloudscheduler-jobname"] == "other"
    with pytest.raises(NotFound):
        scheduler.jobs.get(POLL)


def test_reserved_headers_cannot_be_set(scheduler, function):
    job = http_job(function)
    job["httpTarget"]["headers"] = {"X-CloudScheduler-JobName": "forged", "user-agent": "curl", "X-Own": "kept"}
    scheduler.jobs.create(job)
    scheduler.jobs.run(POLL)
    (request,) = function.wait_for(1)
    assert request.headers["x-cloudscheduler-jobname"] == "poll"
    assert request.headers["user-agent"] == "Google-Cloud-Scheduler"
    assert request.headers["x-own"] == "kept"
    assert request.headers["content-type"] == "application/octet-stream"


def test_a_second_job_of_the_same_name_is_rejected(scheduler, function):
    scheduler.jobs.create(http_job(function))
    with pytest.raises(AlreadyExists):
        scheduler.jobs.create(http_job(function))


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "poll"},
        {"name": f"{PARENT}/jobs/with space"},
        {"schedule": "every now and then"},
        {"schedule": "61 * * * *"},
        {"schedule": "* * * * * *"},
        {"timeZone": "Mars/Olympus"},
        {"attemptDeadline": "14s"},
        {"attemptDeadline": "1801s"},
        {"attemptDeadline": "3 minutes"},
        {"retryConfig": {"retryCount": 6}},
        {"retryConfig": {"maxDoublings": -1}},
        {"retryConfig": {"minBackoffDuration": "10s", "maxBackoffDuration": "5s"}},
        {"httpTarget": {"uri": "http://example.com", "oidcToken": {}}},
        {
            "httpTarget": {
                "uri": "http://example.com",
                "oidcToken": {"serviceAccountEmail": "a@example.com"},
                "oauthToken": {"serviceAccountEmail": "a@example.com"},
            }
        },
        {"httpTarget": {"uri": "ftp://example.com"}},
        {"httpTarget": {"uri": "http://example.com", "httpMethod": "GET", "body": "eA=="}},
        {"httpTarget": {"uri": "http://example.com", "body": "not base64"}},
        {"pubsubTarget": {"topicName": TOPIC, "data": "eA=="}},
        {"colour": "green"},
        {"schedule": 5},
        {"httpTarget": "http://example.com"},
        {"retryConfig": {"retryCount": "many"}},
        {"description": "x" * 501},
    ],
    ids=str,
)
def test_an_invalid_job_is_rejected(scheduler, settings):
    job = {"name": POLL, "schedule": "* * * * *", "httpTarget": {"uri": "http://example.com"}} | settings
    with pytest.raises(InvalidArgument):
        scheduler.jobs.create(job)
    assert scheduler.jobs.list_all(PARENT) == []


@pytest.mark.parametrize(
    "settings", [{"schedule": "every 5 minutes"}, {"schedule": "every mon 09:00"}, {"appEngineHttpTarget": {}}], ids=str
)
def test_what_belongs_to_app_engine_is_refused_by_name(scheduler, settings):
    job = {"name": POLL, "schedule": "* * * * *", "httpTarget": {"uri": "http://example.com"}} | settings
    with pytest.raises(Unimplemented, match=r"in English|App Engine"):
        scheduler.jobs.create(job)


def test_the_page_lists_what_is_kept_and_what_is_refused():
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (ROOT / "docs/scheduler.md").read_text(), re.MULTILINE)
    assert rows == [*KEPT_FIELDS.items(), *UNSUPPORTED_FIELDS.items()]
    for path in KEPT_FIELDS:
        check_path(path)


def test_a_change_of_an_unknown_field_is_rejected(scheduler, function):
    created = scheduler.jobs.create(http_job(function))
    for changes, fields in (({}, ["colour"]), ({}, ["httpTarget.colour"]), ({"colour": "green"}, ["schedule"])):
        with pytest.raises(InvalidArgument, match="colour"):
            scheduler.jobs.update(POLL, changes, fields)
    assert scheduler.jobs.get(POLL) == created


@pytest.mark.parametrize(
    ("schedule", "time_zone", "moment", "due"),
    [
        ("*/15 * * * *", "", "2026-11-20T09:30:00Z", "2026-11-20T09:45:00+00:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-11-20T09:30:00Z", "2026-11-21T02:00:00+00:00"),
        # The night in which summer time begins: three o'clock in Berlin is one hour earlier than the day before.
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T09:30:00Z", "2026-03-29T01:00:00+00:00"),
        ("0 9 * * 1-5", "America/New_York", "2026-11-20T15:00:00Z", "2026-11-23T14:00:00+00:00"),
    ],
)
def test_a_schedule_is_read_in_its_time_zone(schedule, time_zone, moment, due):
    job = parse_job(
        {"name": POLL, "schedule": schedule, "timeZone": time_zone, "httpTarget": {"uri": "http://example.com"}}
    )
    assert job.next_after(datetime.fromisoformat(moment)).isoformat() == due


def test_retry_intervals_double_and_then_grow_evenly():
    # The example of https://cloud.google.com/scheduler/docs/configuring/retry-jobs#max-doublings
    config = RetryConfig(minimum_backoff_seconds=10, maximum_backoff_seconds=300, doublings=3)
    assert [config.backoff_seconds(failures) for failures in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]


@pytest.fixture
def url(scheduler):
    server = HttpServer(scheduler.app)
    server.start()
    yield server.url
    server.stop()


def test_googles_client_manages_jobs(url, scheduler, function):
    options = {"api_endpoint": url}
    service = googleapiclient.discovery.build(
        "cloudscheduler", "v1", credentials=AnonymousCredentials(), client_options=options, static_discovery=True
    )
    jobs = service.projects().locations().jobs()
    created = jobs.create(parent=PARENT, body=http_job(function)).execute()
    assert created == jobs.get(name=POLL).execute() == scheduler.jobs.get(POLL)
    unnamed = jobs.create(parent=PARENT, body={**message_job(), "name": ""}).execute()
    assert unnamed["name"].startswith(f"{PARENT}/jobs/")
    jobs.delete(name=unnamed["name"]).execute()
    jobs.create(parent=PARENT, body=message_job()).execute()
    first = jobs.list(parent=PARENT, pageSize=1).execute()
    second = jobs.list(parent=PARENT, pageSize=1, pageToken=first["nextPageToken"]).execute()
    assert [job["name"] for job in first["jobs"] + second["jobs"]] == [f"{PARENT}/jobs/nightly", POLL]
    patched = jobs.patch(name=POLL, body={"schedule": "0 * * * *"}, updateMask="schedule").execute()
    assert (patched["schedule"], patched["scheduleTime"]) == ("0 * * * *", "2026-11-20T10:00:00.000Z")
    assert patched["httpTarget"] == created["httpTarget"]
    target = {"httpTarget": {"uri": f"{function.url}/other"}}
    moved = jobs.patch(name=POLL, body=target, updateMask="http_target.uri").execute()
    assert moved["httpTarget"] == {**created["httpTarget"], "uri": f"{function.url}/other"}
    assert jobs.pause(name=POLL, body={}).execute()["state"] == "PAUSED"
    assert jobs.resume(name=POLL, body={}).execute()["state"] == "ENABLED"
    jobs.run(name=POLL, body={}).execute()
    function.wait_for(1)
    with pytest.raises(googleapiclient.errors.HttpError, match="Unknown name 'legacyAppEngineCron'"):
        jobs.run(name=POLL, body={"legacyAppEngineCron": True}).execute()
    assert len(function.requests) == 1
    assert jobs.get(name=POLL, fields="name,httpTarget/httpMethod").execute() == {
        "name": POLL,
        "httpTarget": {"httpMethod": "POST"},
    }
    unknown = requests.get(f"{url}/v1/{PARENT}/jobs", params={"filter": "state=PAUSED"}, timeout=LAST_LIMIT)
    assert (unknown.status_code, "Cannot bind query parameter" in unknown.text) == (400, True)
    assert jobs.delete(name=POLL).execute() == {}
    with pytest.raises(googleapiclient.errors.HttpError) as missing:
        jobs.get(name=POLL).execute()
    assert json.loads(missing.value.content)["error"]["status"] == "NOT_FOUND"
    service.close()


@pytest.mark.matrix
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud: install the Google Cloud SDK to run it")
def test_gcloud_creates_and_runs_jobs(broker, function, tmp_path: Path):
    scheduler = Scheduler(broker, clock=SystemClock())
    server = HttpServer(scheduler.app)
    server.start()
    environment = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": f"{server.url}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "local-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
    }

    def gcloud(*arguments: str):
        command = ["gcloud", "scheduler", "jobs", *arguments, "--location=us-central1", "--format=json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LAST_LIMIT, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    created = gcloud(
        "create",
        "http",
        "poll",
        "--schedule=0 3 * * *",
        f"--uri={function.url}/poll",
        "--headers=Content-Type=application/json",
        "--message-body={}",
        "--attempt-deadline=300s",
    )
    assert created == scheduler.jobs.get(POLL)
    gcloud("run", "poll")
    (request,) = function.wait_for(1)
    assert (request.method, request.body, request.headers["content-type"]) == ("POST", b"{}", "application/json")
    gcloud("create", "pubsub", "nightly", "--schedule=0 3 * * *", f"--topic={TOPIC}", "--message-body=hello")
    gcloud("run", "nightly")
    wait_until(lambda: broker.backlog_size(SUBSCRIPTION))
    assert broker.pull(SUBSCRIPTION, 1)[0].message.data == b"hello"
    assert [job["name"] for job in gcloud("list")] == [f"{PARENT}/jobs/nightly", POLL]
    server.stop()
