"""A web page of another site cannot use the local cloud: neither from the user's browser, nor by DNS rebinding."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import grpc
import psutil
import pytest
import requests

from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from tests.waiting import LAST_LIMIT

FAULT = json.dumps({"service": "eventarc", "do": {"drop": True}, "times": 1}).encode()
QUERY = json.dumps({"query": "CREATE SCHEMA attacked", "useLegacySql": False}).encode()
MESSAGE = json.dumps({"messages": [{"data": "eA=="}]}).encode()
JSON = "application/json"


@pytest.fixture(scope="module")
def services() -> Iterator[LocalCloud]:
    """A local cloud without functions, one of whose host names is given."""
    services = LocalCloud(
        CloudConfig(with_functions=False, with_samples=False, with_schedules=False, host_names=("cloud.test",))
    )
    services.start()
    services.pubsub.broker.ensure_topic("projects/p/topics/t")
    services.storage.store.ensure_bucket("attacked", location="US")
    yield services
    services.stop()


def doors(services: LocalCloud) -> dict[str, tuple[str, str, bytes]]:
    """The method, URL and body of one change of each service."""
    http, bigquery = services.addresses.http, services.addresses.bigquery
    upload = f"{http}/upload/storage/v1/b/attacked/o?uploadType=media&name=x"
    return {
        "faults": ("POST", f"{http}/faults", FAULT),
        "quotas": ("DELETE", f"{http}/quotas", b""),
        "query": ("POST", f"{bigquery}/bigquery/v2/projects/p/queries", QUERY),
        "upload": ("POST", upload, b"bytes"),
        "publish": ("POST", f"{http}/v1/projects/p/topics/t:publish", MESSAGE),
        "vertex": ("POST", f"{http}/v1/projects/p/locations/us-central1/endpoints", b"{}"),
        "scheduler": ("POST", f"{http}/v1/projects/p/locations/us-central1/jobs", b"{}"),
        "token": ("POST", f"{http}/token", b"grant_type=x"),
    }


def send(door: tuple[str, str, bytes], **headers: str) -> requests.Response:
    method, url, body = door
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, url, data=body, headers=named, timeout=LAST_LIMIT)


def is_unchanged(services: LocalCloud) -> bool:
    """Whether none of the changes of ``doors`` took effect."""
    objects = requests.get(f"{services.addresses.http}/storage/v1/b/attacked/o", timeout=LAST_LIMIT).json()
    datasets = requests.get(f"{services.addresses.bigquery}/bigquery/v2/projects/p/datasets", timeout=LAST_LIMIT)
    return not services.faults.describe() and "items" not in objects and "attacked" not in datasets.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1@evil.example",
        "localhost:80:80",
        "0.0.0.0",
        "169.254.169.254",
        "192.168.0.7:8080",
        "[::2]",
        "[localhost]",
        "2130706433",
        "",
    ],
)
def test_a_foreign_host_is_refused_at_every_service(services: LocalCloud, host: str) -> None:
    answers = {name: send(door, Host=host, Content_Type=JSON) for name, door in doors(services).items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert is_unchanged(services)


def test_a_refusal_says_how_to_allow_the_host(services: LocalCloud) -> None:
    answer = send(doors(services)["faults"], Host="evil.example:80", Content_Type=JSON)
    assert "--host-name evil.example`" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9", "localhost.", "my.localhost", "127.0.0.1", "127.8.9.1:1", "[::1]:80", "cloud.test:5"],
)
def test_names_of_this_machine_and_given_names_are_let_in(services: LocalCloud, host: str) -> None:
    for url in (services.addresses.http, f"{services.addresses.bigquery}/bigquery/v2/projects"):
        assert requests.get(url, headers={"Host": host}, timeout=LAST_LIMIT).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:80@evil.example"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://abcdef"},
        {"Referer": "https://evil.example/page"},
        {"Referer": "https://evil.example/localhost"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "Cross-Site"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_a_page_of_another_site_is_refused_at_every_service(services: LocalCloud, headers: dict[str, str]) -> None:
    for content_type in ("text/plain", JSON):
        answers = {name: send(door, Content_Type=content_type, **headers) for name, door in doors(services).items()}
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert is_unchanged(services)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; x=application/json",
        "multipart/form-data; boundary=b",
        "application/x-www-form-urlencoded",
        "TEXT/PLAIN",
    ],
)
def test_a_change_of_a_type_that_any_page_can_send_is_refused(services: LocalCloud, content_type: str) -> None:
    changes = {name: door for name, door in doors(services).items() if name not in ("upload", "token", "quotas")}
    answers = {name: send(door, Content_Type=content_type) for name, door in changes.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 415)
    assert is_unchanged(services)


def test_a_page_of_this_machine_can_change_things_with_json_only(services: LocalCloud) -> None:
    origin = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}
    upload = doors(services)["upload"]
    assert [send(upload, **origin, **type_).status_code for type_ in ({}, {"Content-Type": "image/png"})] == [415, 415]
    assert is_unchanged(services)
    assert send(doors(services)["faults"], **origin, Content_Type=JSON).status_code == 200
    services.faults.clear()


def test_node_sends_one_mark_of_a_browser_and_is_let_in(services: LocalCloud) -> None:
    upload = doors(services)["upload"]
    assert send(upload, Sec_Fetch_Mode="cors", Content_Type="image/png").status_code == 200
    assert send(upload, Sec_Fetch_Mode="cors", Sec_Fetch_Site="same-site", Content_Type="image/png").status_code == 415
    requests.delete(f"{services.addresses.http}/storage/v1/b/attacked/o/x", timeout=LAST_LIMIT)


def test_a_preflight_gets_no_permission(services: LocalCloud) -> None:
    for origin in ("http://evil.example", "http://localhost:3000"):
        for _, url, _ in doors(services).values():
            headers = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
            answer = requests.options(url, headers=headers, timeout=LAST_LIMIT)
            assert answer.status_code >= 400
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_requests_as_the_official_clients_send_them_are_let_in(services: LocalCloud) -> None:
    assert send(doors(services)["upload"], Content_Type="text/plain").status_code == 200
    assert send(doors(services)["publish"]).status_code == 200
    form = send(doors(services)["token"], Content_Type="application/x-www-form-urlencoded")
    assert form.json()["error"] == "unsupported_grant_type"
    # An empty form is what `urllib` and `curl --data ''` send.
    empty = requests.post(
        f"{services.addresses.http}/v1/projects/p/topics/t:publish",
        data=b"",
        timeout=LAST_LIMIT,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert empty.status_code == 400
    requests.delete(f"{services.addresses.http}/storage/v1/b/attacked/o/x", timeout=LAST_LIMIT).raise_for_status()


def test_a_stored_page_cannot_run_scripts(services: LocalCloud) -> None:
    services.storage.store.write("attacked", "page", b"<script>fetch('/faults')</script>", content_type="text/html")
    answer = requests.get(f"{services.addresses.http}/storage/v1/b/attacked/o/page?alt=media", timeout=LAST_LIMIT)
    services.storage.store.delete("attacked", "page")
    assert answer.headers["Content-Type"] == "text/html"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("headers", ["", "Host: localhost\r\nHost: evil.example\r\n"])
def test_a_request_must_have_one_host(services: LocalCloud, headers: str) -> None:
    assert raw(services.addresses.http, f"GET / HTTP/1.1\r\n{headers}\r\n").startswith(b"HTTP/1.1 400")


def test_a_browser_cannot_speak_to_the_grpc_ports(services: LocalCloud) -> None:
    """A browser sends HTTP/1.1 without encryption, which gRPC servers do not accept."""
    before = services.pubsub.broker.topics()
    for address in (services.addresses.pubsub, f"127.0.0.1:{services.bigquery.storage_api_port}"):
        request = (
            "POST /google.pubsub.v1.Publisher/CreateTopic HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
        assert b"HTTP/1.1 200" not in raw(f"http://{address}", request)
    assert services.pubsub.broker.topics() == before


@pytest.mark.parametrize("sent", ["", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\n"])
def test_half_sent_requests_do_not_block_the_grpc_ports(services: LocalCloud, sent: str) -> None:
    for address in (services.addresses.pubsub, f"127.0.0.1:{services.bigquery.storage_api_port}"):
        host, _, port = address.partition(":")
        with contextlib.ExitStack() as opened:
            for _ in range(200):
                connection = opened.enter_context(socket.create_connection((host, int(port)), LAST_LIMIT))
                connection.sendall(sent.encode())
            channel = opened.enter_context(grpc.insecure_channel(address))
            grpc.channel_ready_future(channel).result(LAST_LIMIT)


@pytest.mark.long
def test_a_compressed_message_is_unpacked_up_to_the_limit_only(services: LocalCloud) -> None:
    with grpc.insecure_channel(
        services.addresses.pubsub,
        options=[("grpc.max_send_message_length", -1)],
        compression=grpc.Compression.Gzip,
    ) as channel:
        publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
        with pytest.raises(grpc.RpcError) as refused:
            publish(b"\0" * (64 << 20), timeout=LAST_LIMIT)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_json_of_an_upload_has_a_limit(services: LocalCloud) -> None:
    url = f"{services.addresses.http}/upload/storage/v1/b/attacked/o"
    endless = b" " * (2 << 20)
    resumable = requests.post(f"{url}?uploadType=resumable&name=x", data=endless, timeout=LAST_LIMIT)
    related = {"Content-Type": "multipart/related; boundary=b"}
    body = b"--b\r\nContent-Type: application/json\r\n\r\n" + endless
    multipart = requests.post(f"{url}?uploadType=multipart", data=body, headers=related, timeout=LAST_LIMIT)
    assert (resumable.status_code, multipart.status_code) == (400, 400)
    assert "1,048,576 bytes" in multipart.json()["error"]["message"]


def test_uploads_that_are_never_finished_keep_no_files_open(services: LocalCloud) -> None:
    url = f"{services.addresses.http}/upload/storage/v1/b/attacked/o?uploadType=resumable&name=x"

    def begin() -> None:
        session = requests.post(url, timeout=LAST_LIMIT).headers["Location"]
        chunk, place = bytes(256 << 10), {"Content-Range": f"bytes 0-{(256 << 10) - 1}/*"}
        part = requests.put(session, data=chunk, headers=place, timeout=LAST_LIMIT)
        assert part.status_code == 308

    begin()
    before = psutil.Process().num_fds()
    for _ in range(50):
        begin()
    assert psutil.Process().num_fds() < before + 25


def test_a_token_request_has_few_fields(services: LocalCloud) -> None:
    answer = requests.post(f"{services.addresses.http}/token", data="a=b&" * 1000, timeout=LAST_LIMIT)
    assert answer.json()["error"] == "invalid_request"


def raw(url: str, request: str) -> bytes:
    """Send ``request`` and return the first bytes of the answer."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=LAST_LIMIT) as connection:
        connection.sendall(request.encode())
        return connection.recv(4096)
