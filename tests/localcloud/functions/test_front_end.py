"""The front end of a function holds to the declared instances and timeout."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from localcloud.base.http import HttpServer
from localcloud.functions.front_end import LARGEST_REQUEST_BYTES, FrontEnd
from localcloud.functions.instances import Instances
from tests.waiting import LAST_LIMIT

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.fixture
def function(tmp_path: Path) -> Iterator[socket.socket]:
    """The process of a function, which answers when a test does."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        listening.settimeout(LAST_LIMIT)
        yield listening


@contextmanager
def front_end(function: socket.socket, instances: Instances, timeout_seconds: float = LAST_LIMIT) -> Iterator[str]:
    server = HttpServer(
        FrontEnd(Path(function.getsockname()), "held", instances, timeout_seconds),
        name="front-held",
        is_google_api=False,
        largest_body=LARGEST_REQUEST_BYTES,
    )
    server.start()
    try:
        yield f"{server.url}/held"
    finally:
        server.stop()


def post(url: str) -> requests.Response:
    return requests.post(url, timeout=LAST_LIMIT)


def test_a_request_is_passed_once_an_instance_is_free(function: socket.socket) -> None:
    with front_end(function, Instances(1)) as url, ThreadPoolExecutor() as threads:
        both = [threads.submit(post, url), threads.submit(post, url)]
        first, _ = function.accept()
        with first:
            first.recv(1000)
            first.sendall(ANSWER)
        second, _ = function.accept()
        with second:
            second.recv(1000)
            second.sendall(ANSWER)
        assert [each.result().text for each in both] == ["ok", "ok"]


def test_as_many_requests_as_there_are_places_are_passed_at_the_same_time(function: socket.socket) -> None:
    with front_end(function, Instances(2)) as url, ThreadPoolExecutor() as threads:
        both = [threads.submit(post, url), threads.submit(post, url)]
        passed = [function.accept()[0], function.accept()[0]]
        for each in passed:
            with each:
                each.recv(1000)
                each.sendall(ANSWER)
        assert [each.result().text for each in both] == ["ok", "ok"]


def test_a_request_that_finds_no_instance_in_time_is_refused(function: socket.socket) -> None:
    with front_end(function, Instances(1, wait_seconds=0.05)) as url, ThreadPoolExecutor() as threads:
        held = threads.submit(post, url)
        first, _ = function.accept()
        with first:
            refused = post(url)
            first.recv(1000)
            first.sendall(ANSWER)

        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == (
            "No instance of held is free: `maximum_instances` of them take `concurrency` requests each."
        )
        assert held.result().text == "ok"


def test_a_request_ends_at_the_timeout_and_frees_its_place(function: socket.socket) -> None:
    with front_end(function, Instances(1), timeout_seconds=0.1) as url:
        answers = [post(url), post(url)]

    assert [each.status_code for each in answers] == [504, 504]
    assert answers[0].json()["error"]["message"] == "held did not answer in 0.1 s, its `timeout_seconds`."
