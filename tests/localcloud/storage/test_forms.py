"""Uploads by HTML forms, signed by Google's own Python client and by hand."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from google.oauth2.service_account import Credentials as ServiceAccount

from localcloud.base.clock import ManualClock
from localcloud.base.credentials import Credentials
from tests.localcloud.storage.world import BUCKET, StorageWorld
from tests.waiting import LAST_LIMIT

FILE = ("a.txt", b"DEADBEEF")


def signed_form(world: StorageWorld, signer: Credentials, **options: Any) -> dict[str, str]:
    account = ServiceAccount.from_service_account_info(signer.key)
    expiration = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    policy = world.client().generate_signed_post_policy_v4(
        BUCKET, "a", expiration=expiration, credentials=account, **options
    )
    assert policy["url"] == f"{world.url}/{BUCKET}/"
    fields: dict[str, str] = policy["fields"]
    return fields


def send(world: StorageWorld, fields: dict[str, str], file: object = FILE) -> requests.Response:
    url = f"{world.url}/{BUCKET}/"
    return requests.post(url, data=fields, files={"file": file}, timeout=LAST_LIMIT, allow_redirects=False)


def test_a_signed_form_uploads_an_object_with_its_fields(xml_world: StorageWorld, signer: Credentials) -> None:
    fields = {"content-type": "text/plain", "x-goog-meta-team": "films", "acl": "public-read"}
    form = signed_form(xml_world, signer, fields=fields, conditions=[["content-length-range", 1, 10]])
    answer = send(xml_world, form)
    assert (answer.status_code, answer.headers["location"]) == (204, f"{xml_world.url}/{BUCKET}/a")
    stored = xml_world.store.get(BUCKET, "a")
    assert (stored.content_type, stored.metadata, stored.acl["allUsers"]) == ("text/plain", {"team": "films"}, "READER")
    assert xml_world.store.read(BUCKET, "a") == b"DEADBEEF"


@pytest.mark.parametrize(
    "changed,status,code",
    [
        ({"key": "b"}, 400, "InvalidPolicyDocument"),
        ({"content-type": "image/png"}, 400, "InvalidPolicyDocument"),
        ({"cache-control": "no-store"}, 400, "InvalidPolicyDocument"),
        ({"x-goog-random": "x"}, 400, "InvalidArgument"),
        ({"x-goog-algorithm": "HMAC"}, 400, "MalformedSecurityHeader"),
        ({"x-goog-signature": "00ff"}, 403, "SignatureDoesNotMatch"),
        ({"x-goog-signature": "none"}, 400, "MalformedSecurityHeader"),
        ({"policy": "e30="}, 403, "SignatureDoesNotMatch"),
        ({"policy": None}, 400, "InvalidArgument"),
        ({"key": None}, 400, "InvalidArgument"),
        ({"success_action_status": "418"}, 400, "InvalidPolicyDocument"),
    ],
)
def test_a_form_that_differs_from_its_policy_is_refused(
    xml_world: StorageWorld, signer: Credentials, changed: dict[str, str | None], status: int, code: str
) -> None:
    form = signed_form(xml_world, signer, conditions=[["starts-with", "$Content-Type", "text/"]])
    fields = {"content-type": "text/plain", **form, **changed}
    answer = send(xml_world, {name: value for name, value in fields.items() if value is not None})
    assert (answer.status_code, ElementTree.fromstring(answer.content).findtext("Code")) == (status, code)
    assert (xml_world.store.list(BUCKET), xml_world.files()) == ([], [])


def test_a_form_is_for_its_size_and_its_time_only(
    xml_world: StorageWorld, signer: Credentials, xml_clock: ManualClock
) -> None:
    form = signed_form(xml_world, signer, conditions=[["content-length-range", 1, 4]])
    assert (send(xml_world, form).status_code, send(xml_world, form, ("a", b"DEAD")).status_code) == (400, 204)
    xml_clock.advance(3601)
    assert "expired" in send(xml_world, form, ("a", b"DEAD")).text


def test_a_form_says_how_it_is_answered(xml_world: StorageWorld) -> None:
    created = send(xml_world, {"key": "in/${filename}", "success_action_status": "201"})
    assert created.status_code == 201
    assert ElementTree.fromstring(created.content).findtext("Key") == "in/a.txt"
    there = send(xml_world, {"key": "b", "success_action_redirect": "http://127.0.0.1/done?x=1"})
    assert there.status_code == 303
    assert there.headers["location"].startswith(f"http://127.0.0.1/done?x=1&bucket={BUCKET}&key=b&etag=")
    split = send(xml_world, {"key": "c", "success_action_redirect": "http://127.0.0.1/\r\nx-own: header"})
    assert (split.status_code, "success_action_redirect" in split.text) == (400, True)
    assert [stored.name for stored in xml_world.store.list(BUCKET)] == ["b", "in/a.txt"]


def test_the_fields_of_a_form_have_a_limit_together(xml_world: StorageWorld) -> None:
    fields = {f"x-ignore-{number}": "x" * (300 << 10) for number in range(4)}
    answer = send(xml_world, {"key": "a", **fields})
    assert (answer.status_code, "1,048,576 bytes" in answer.text) == (400, True)


def test_a_form_of_version_2_is_checked_too(xml_world: StorageWorld, signer: Credentials) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    document = {"expiration": until, "conditions": [["eq", "$key", "a"], {"bucket": BUCKET}]}
    policy = base64.b64encode(json.dumps(document).encode())
    signature = ServiceAccount.from_service_account_info(signer.key).sign_bytes(policy)
    form = {"key": "a", "policy": policy.decode(), "GoogleAccessId": signer.key["client_email"]}
    assert send(xml_world, {**form, "signature": base64.b64encode(signature).decode()}).status_code == 204
    assert send(xml_world, {**form, "signature": base64.b64encode(b"x").decode()}).status_code == 403


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"conditions": []},
        {"expiration": "2999-01-01T00:00:00", "conditions": []},
        {"expiration": "2999-01-01T00:00:00Z", "conditions": [["ends-with", "$key", "a"]]},
        {"expiration": "2999-01-01T00:00:00Z", "conditions": [["content-length-range", "a"]]},
        {"expiration": "2999-01-01T00:00:00Z", "conditions": [{"key": 1}]},
    ],
)
def test_a_malformed_policy_is_refused(xml_world: StorageWorld, signer: Credentials, document: object) -> None:
    policy = base64.b64encode(json.dumps(document).encode())
    signature = base64.b64encode(ServiceAccount.from_service_account_info(signer.key).sign_bytes(policy)).decode()
    form = {"key": "a", "policy": policy.decode(), "GoogleAccessId": signer.key["client_email"], "signature": signature}
    answer = send(xml_world, form)
    assert (answer.status_code, "InvalidPolicyDocument" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "body", [b"", b"--b\r\n\r\n", b"--b--", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"]
)
def test_a_form_that_cannot_be_read_is_refused(xml_world: StorageWorld, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = xml_world.call("POST", f"/{BUCKET}", data=body, headers=headers)
    assert (answer.status_code, "<Code>InvalidArgument</Code>" in answer.text) == (400, True)
