"""The REST API, through Google's discovery-based client and through gcloud."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import googleapiclient.discovery
import googleapiclient.errors
import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from localcloud.apis.discovery import read_document
from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.pubsub.api.rest import SYSTEM_PARAMETERS
from localcloud.pubsub.api.unsupported import UNSUPPORTED_METHODS
from localcloud.pubsub.service import PubSub
from tests.waiting import LAST_LIMIT

PROJECT = "projects/local-project"
TOPIC = f"{PROJECT}/topics/orders"
SUBSCRIPTION = f"{PROJECT}/subscriptions/all"


@pytest.fixture
def url():
    pubsub = PubSub(clock=SystemClock(), project="local-project")
    server = HttpServer(pubsub.app)
    server.start()
    yield server.url
    server.stop()
    pubsub.stop()


@pytest.fixture
def projects(url):
    options = {"api_endpoint": url}
    service = googleapiclient.discovery.build(
        "pubsub", "v1", credentials=AnonymousCredentials(), client_options=options, static_discovery=True
    )
    yield service.projects()
    service.close()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_message_is_published_pulled_refused_and_acknowledged(projects):
    projects.topics().create(name=TOPIC, body={"labels": {"team": "news"}}).execute()
    projects.subscriptions().create(name=SUBSCRIPTION, body={"topic": TOPIC, "ackDeadlineSeconds": 20}).execute()
    message = {"data": encoded("hello"), "attributes": {"colour": "green"}}
    published = projects.topics().publish(topic=TOPIC, body={"messages": [message]}).execute()

    pulled = projects.subscriptions().pull(subscription=SUBSCRIPTION, body={"maxMessages": 10}).execute()
    (received,) = pulled["receivedMessages"]
    assert received["message"]["data"] == encoded("hello")
    assert received["message"]["attributes"] == {"colour": "green"}
    assert published["messageIds"] == [received["message"]["messageId"]]
    assert received["message"]["publishTime"].endswith("Z")

    subscriptions = projects.subscriptions()
    refusal = {"ackIds": [received["ackId"]], "ackDeadlineSeconds": 0}
    assert subscriptions.modifyAckDeadline(subscription=SUBSCRIPTION, body=refusal).execute() == {}
    (again,) = subscriptions.pull(subscription=SUBSCRIPTION, body={"maxMessages": 1}).execute()["receivedMessages"]
    body = {"ackIds": [again["ackId"]]}
    assert subscriptions.acknowledge(subscription=SUBSCRIPTION, body=body).execute() == {}
    now = {"maxMessages": 1, "returnImmediately": True}
    assert subscriptions.pull(subscription=SUBSCRIPTION, body=now).execute() == {}


def test_resources_have_the_documented_fields(projects):
    assert projects.topics().create(name=TOPIC, body={"labels": {"a": "b"}}).execute() == {
        "name": TOPIC,
        "labels": {"a": "b"},
    }
    body = {
        "topic": TOPIC,
        "pushConfig": {"pushEndpoint": "https://example.com/push"},
        "retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "30s"},
    }
    projects.subscriptions().create(name=SUBSCRIPTION, body=body).execute()
    assert projects.subscriptions().get(subscription=SUBSCRIPTION).execute() == {
        "name": SUBSCRIPTION,
        "topic": TOPIC,
        "pushConfig": {"pushEndpoint": "https://example.com/push"},
        "retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "30s"},
        "ackDeadlineSeconds": 10,
        "messageRetentionDuration": "604800s",
        "expirationPolicy": {"ttl": "2678400s"},
        "state": "ACTIVE",
    }


def test_a_list_is_returned_in_pages(projects):
    for number in range(3):
        projects.topics().create(name=f"{TOPIC}-{number}", body={}).execute()
    request = projects.topics().list(project=PROJECT, pageSize=2)
    first = request.execute()
    second = projects.topics().list_next(request, first).execute()
    names = [topic["name"] for topic in first["topics"] + second["topics"]]
    assert names == [f"{TOPIC}-{number}" for number in range(3)]
    assert "nextPageToken" not in second


def test_subscriptions_and_topics_are_changed_and_deleted(projects):
    projects.topics().create(name=TOPIC, body={}).execute()
    projects.subscriptions().create(name=SUBSCRIPTION, body={"topic": TOPIC}).execute()
    assert projects.topics().subscriptions().list(topic=TOPIC).execute() == {"subscriptions": [SUBSCRIPTION]}
    change = {"subscription": {"ackDeadlineSeconds": 99}, "updateMask": "ackDeadlineSeconds"}
    assert projects.subscriptions().patch(name=SUBSCRIPTION, body=change).execute()["ackDeadlineSeconds"] == 99
    body = {"pushConfig": {"pushEndpoint": "https://example.com/"}}
    projects.subscriptions().modifyPushConfig(subscription=SUBSCRIPTION, body=body).execute()
    projects.subscriptions().seek(subscription=SUBSCRIPTION, body={"time": "2030-01-01T00:00:00Z"}).execute()
    projects.subscriptions().detach(subscription=SUBSCRIPTION).execute()
    assert projects.subscriptions().get(subscription=SUBSCRIPTION).execute()["detached"]
    projects.subscriptions().delete(subscription=SUBSCRIPTION).execute()
    projects.topics().delete(topic=TOPIC).execute()
    assert projects.topics().list(project=PROJECT).execute() == {}


@pytest.mark.parametrize(
    ("call", "status", "name"),
    [
        (lambda projects: projects.topics().get(topic=TOPIC), 404, "NOT_FOUND"),
        (lambda projects: projects.topics().create(name=f"{PROJECT}/topics/x", body={}), 400, "INVALID_ARGUMENT"),
        (lambda projects: projects.topics().create(name=TOPIC, body={"colour": "red"}), 400, "INVALID_ARGUMENT"),
        (
            lambda projects: projects.topics().publish(topic=TOPIC, body={"messages": [{"data": "%"}]}),
            400,
            "INVALID_ARGUMENT",
        ),
        (lambda projects: projects.schemas().list(parent=PROJECT), 501, "UNIMPLEMENTED"),
    ],
    ids=["missing", "bad name", "unknown field", "not base64", "not built"],
)
def test_an_error_has_googles_form(projects, call, status, name):
    with pytest.raises(googleapiclient.errors.HttpError) as refused:
        call(projects).execute()
    assert refused.value.status_code == status
    error = json.loads(refused.value.content)["error"]
    assert (error["code"], error["status"]) == (status, name)
    assert error["message"]


def test_each_method_of_the_api_is_served_or_refused_by_name(url):
    for method in read_document("pubsub.v1").methods:
        path = re.sub(r"{projectsId}", "local-project", method.path)
        path = re.sub(r"{\+?\w+}", "missing", path)
        answer = requests.request(method.verb, f"{url}/{path}", json={}, timeout=LAST_LIMIT)
        is_refused = answer.status_code == 501
        assert is_refused == any(word in method.id.lower() for word in UNSUPPORTED_METHODS), method.id
        if is_refused:
            assert any(name in answer.json()["error"]["message"] for name in UNSUPPORTED_METHODS.values()), method.id
        else:
            assert "requested URL" not in answer.text, method.id


@pytest.mark.parametrize(
    ("verb", "path"),
    [("GET", "/v1/nothing"), ("POST", f"/v1/{TOPIC}"), ("GET", "/v2/projects"), ("PUT", f"/v1/{PROJECT}")],
)
def test_a_path_that_pubsub_does_not_have_is_not_found(url, verb, path):
    answer = requests.request(verb, f"{url}{path}", timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_an_update_mask_names_fields_in_either_form(url):
    requests.put(f"{url}/v1/{TOPIC}", timeout=LAST_LIMIT)
    requests.put(f"{url}/v1/{SUBSCRIPTION}", json={"topic": TOPIC}, timeout=LAST_LIMIT)
    for mask, seconds in (("ack_deadline_seconds", 20), ("ackDeadlineSeconds", 30)):
        body = {"subscription": {"ackDeadlineSeconds": seconds}, "updateMask": mask}
        changed = requests.patch(f"{url}/v1/{SUBSCRIPTION}", json=body, timeout=LAST_LIMIT)
        assert changed.json()["ackDeadlineSeconds"] == seconds


@pytest.mark.parametrize("data", ["%", "aGVs bG8=", "é"])
def test_data_that_is_not_in_base64_is_refused(url, data):
    requests.put(f"{url}/v1/{TOPIC}", timeout=LAST_LIMIT)
    body = {"messages": [{"data": data}]}
    assert requests.post(f"{url}/v1/{TOPIC}:publish", json=body, timeout=LAST_LIMIT).status_code == 400


def test_each_system_parameter_is_accepted():
    assert set(read_document("pubsub.v1").parameters) <= SYSTEM_PARAMETERS


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("PUT", SUBSCRIPTION, {"topic": TOPIC, "colour": 1}, 'received. Unknown name "colour": Cannot find field.'),
        (
            "POST",
            f"{TOPIC}:publish",
            {"messages": [{"datum": "x"}]},
            "Unknown name \"datum\" at 'messages[0]': Cannot find",
        ),
        ("POST", f"{SUBSCRIPTION}:pull", {"maxMessages": "x"}, "Invalid value at 'max_messages' (TYPE_INT32), \"x\""),
        ("GET", f"{PROJECT}/topics?pageSize=x", None, "Invalid value at 'page_size' (TYPE_INT32), \"x\""),
        ("GET", f"{PROJECT}/topics?colour=red", None, 'Unknown name "colour": Cannot bind query parameter.'),
        ("POST", f"{SUBSCRIPTION}:detach", {"colour": 1}, 'has no field named "colour"'),
    ],
)
def test_a_malformed_request_is_refused_in_the_words_of_google(url, method, path, body, problem):
    answer = requests.request(method, f"{url}/v1/{path}", json=body, timeout=LAST_LIMIT)
    assert (answer.status_code, problem in answer.json()["error"]["message"]) == (400, True), answer.text


def test_an_answer_has_the_fields_that_its_call_names(url):
    body = {"labels": {"a": "b"}}
    created = requests.put(f"{url}/v1/{TOPIC}", params={"fields": "name"}, json=body, timeout=LAST_LIMIT)
    assert created.json() == {"name": TOPIC}
    listed = requests.get(f"{url}/v1/{PROJECT}/topics", params={"fields": "topics/labels"}, timeout=LAST_LIMIT)
    assert listed.json() == {"topics": [{"labels": {"a": "b"}}]}


@pytest.mark.parametrize(
    ("parameter", "status"), [({"alt": "proto"}, 501), ({"alt": "media"}, 501), ({"fields": "a("}, 400)]
)
def test_a_form_of_answers_that_is_not_possible_is_refused(url, parameter, status):
    answer = requests.put(f"{url}/v1/{TOPIC}", params=parameter, timeout=LAST_LIMIT)
    assert answer.status_code == status
    assert requests.get(f"{url}/v1/{TOPIC}", timeout=LAST_LIMIT).status_code == 404


@pytest.mark.matrix
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs gcloud: install the Google Cloud SDK to run it")
def test_gcloud_creates_publishes_pulls_and_deletes(url, tmp_path: Path):
    environment = os.environ | {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{url}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "local-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CONFIG": str(tmp_path),
    }

    def gcloud(*arguments: str):
        command = ["gcloud", "pubsub", *arguments, "--format=json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LAST_LIMIT, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    gcloud("topics", "create", "orders")
    gcloud("subscriptions", "create", "all", "--topic=orders", "--ack-deadline=60")
    published = gcloud("topics", "publish", "orders", "--message=hello", "--attribute=colour=green")
    (received,) = gcloud("subscriptions", "pull", "all", "--auto-ack")
    assert received["message"]["messageId"] == published["messageIds"][0]
    assert base64.b64decode(received["message"]["data"]) == b"hello"
    assert received["message"]["attributes"] == {"colour": "green"}
    assert gcloud("subscriptions", "describe", "all")["ackDeadlineSeconds"] == 60
    gcloud("topics", "delete", "orders")
    assert gcloud("topics", "list") == []
