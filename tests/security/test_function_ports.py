"""The port of a function: no web page of another site reaches the function, and half-sent requests do not block it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from declaration.model import Function, HttpTrigger
from localcloud.base.clock import SystemClock
from localcloud.functions.janitor import Janitor
from localcloud.functions.processes import Functions
from tests.paths import SAMPLE_FUNCTIONS
from tests.waiting import LAST_LIMIT

HEAD = "POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    """The function `echo` of tests/sample_functions."""
    echo = Function(service="echo", trigger=HttpTrigger(http="POST"), memory="512Mi", timeout_seconds=45, concurrency=1)
    janitor = Janitor()
    functions = Functions(
        {"echo": echo},
        source=SAMPLE_FUNCTIONS / "echo",
        data_dir=tmp_path_factory.mktemp("functions"),
        clock=SystemClock(),
        janitor=janitor,
        host_names=["cloud.test"],
    )
    functions.start({})
    functions.wait_until_ready()
    yield functions
    functions.stop()
    janitor.close()


@pytest.fixture
def url(functions: Functions) -> str:
    return functions.urls()["echo"]


def calls(functions: Functions) -> int:
    """How often the function was called."""
    return functions.processes["echo"].last_log_lines(10_000).count("request for")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": "http://evil.example/"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "http://localhost:3000"}, 415),
    ],
)
def test_a_web_page_cannot_call_a_function(
    functions: Functions, url: str, headers: dict[str, str], status: int
) -> None:
    before = calls(functions)
    for path in ("", "/upload/storage/v1/b/x/o", "/token"):
        answer = requests.post(f"{url}{path}", data=b"{}", headers=headers, timeout=LAST_LIMIT)
        assert answer.status_code == status
    assert calls(functions) == before


def test_calls_as_in_the_readme_and_of_the_services_reach_the_function(url: str) -> None:
    json = {"Content-Type": "application/json"}
    assert requests.post(url, timeout=LAST_LIMIT).json()["body"] == ""
    assert requests.post(url, data="{}", headers=json, timeout=LAST_LIMIT).json()["body"] == "{}"
    assert requests.post(url, data=iter([b"{", b"}"]), headers=json, timeout=LAST_LIMIT).json()["body"] == "{}"
    assert requests.post(url, headers={"Host": "cloud.test"}, timeout=LAST_LIMIT).status_code == 200
    assert requests.head(f"{url}/robots.txt", timeout=LAST_LIMIT).status_code == 404


@pytest.mark.parametrize("sent", ["", "POST", HEAD, f"{HEAD}Content-Length: 100\r\n\r\nhalf"])
def test_half_sent_requests_do_not_block_a_function(url: str, sent: str) -> None:
    address = urlsplit(url)
    with contextlib.ExitStack() as opened:
        for _ in range(200):
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port), LAST_LIMIT))
            connection.sendall(sent.encode())
        assert requests.post(url, data=b"hello", timeout=LAST_LIMIT).json()["body"] == "hello"


def test_a_request_that_cloud_run_would_refuse_for_its_size_is_refused(functions: Functions, url: str) -> None:
    before = calls(functions)
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), LAST_LIMIT) as connection:
        connection.sendall(f"{HEAD}Content-Length: {(32 << 20) + 1}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert calls(functions) == before


def test_the_process_of_a_function_has_no_port_that_bypasses_the_front_end(functions: Functions) -> None:
    leader = psutil.Process(functions.pids()["echo"])
    for process in (leader, *leader.children(recursive=True)):
        assert [each.laddr for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN] == []


def test_a_large_request_and_response_pass_whole(url: str) -> None:
    body = "x" * 3_000_000
    assert requests.post(f"{url}/a%2Fb?q=%20", data=body, timeout=LAST_LIMIT).json()["body"] == body


def test_only_this_user_can_reach_the_socket_of_a_function(functions: Functions) -> None:
    folder: Path = functions.processes["echo"]._socket.parent
    assert folder.stat().st_mode & 0o077 == 0
