"""Requests to Google's JSON APIs without the layers of a client, for the few calls that are made very often.

The clients and ``requests`` take two thirds of the CPU time of a call, and calls are most of what the end of a prediction
costs. So these calls go to urllib3 directly, with the client's credentials and address, and raise the errors of the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import getproxies, proxy_bypass

import certifi
import requests
import urllib3
from google.api_core import exceptions
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request

from shared.cloud.calls import CallOptions, certificates
from shared.settings import MOST_THREADS

Result = TypeVar("Result")

_AGENT = "modeldrop"
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call that succeeded."""

    headers: Mapping[str, str]
    """Their names are found in any case."""
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body; raise ``requests.JSONDecodeError`` if it is not one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            # Something between this process and the service has answered. The clients raise the same.
            raise requests.JSONDecodeError("the answer is not a JSON object", "", 0)
        return value


class JsonApi:
    """A JSON API of Google. Several threads may use it, each with connections that are kept open."""

    def __init__(self, credentials: Credentials, address: str) -> None:
        """Use the API at this address with these credentials."""
        self._address = address
        self._http = _pool(address)
        self._credentials = credentials
        # New tokens come from another address, as with the clients.
        self._token_request = Request()

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        options: CallOptions,
        *,
        read: Callable[[Answer], Result],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most: int | None = None,
    ) -> Result:
        """Make a call, repeat it as the options say, and return what ``read`` returns of the answer.

        Args:
            method: The HTTP method.
            path: The path, encoded.
            query: The parameters. Those that are None are left out, and lists are repeated.
            options: The retry policy and the time limit of the call.
            read: Reads the answer. If it raises an error that may be repeated, the call is repeated.
            body: The body of the request.
            headers: The headers of the request.
            most: How many bytes of the body are read at most, as they are sent; None: all, unpacked.

        Raises:
            GoogleAPICallError: The API answered with an error.
            requests.ConnectionError: There was no answer in time, or only a part of it.
        """
        given = {name: value for name, value in query.items() if value is not None}
        # urllib3 checks each character of a URL, so those that need not be encoded are not.
        url = f"{self._address}{path}?{urlencode(given, doseq=True, safe='(),/')}"
        sent = {"User-Agent": _AGENT, "Accept-Encoding": "gzip", **(headers or {})}

        def send() -> Result:
            return read(self._send(method, url, body, sent, options["timeout"], most))

        retried: Callable[[], Result] = options["retry"](send)
        return retried()

    def _send(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str], timeout: float, most: int | None
    ) -> Answer:

        def send() -> urllib3.BaseHTTPResponse:
            authorized = dict(headers)
            self._credentials.before_request(self._token_request, method, url, authorized)
            return self._http.urlopen(
                method,
                url,
                body=body,
                headers=authorized,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=most is None,
            )

        try:
            response = send()
            if response.status == _UNAUTHORIZED:
                # The token was revoked, or has expired on the way.
                response.drain_conn()
                self._credentials.refresh(self._token_request)
                response = send()
            if not 200 <= response.status < 300:
                raise _error(response, method, url)
            if most is None:
                return Answer(response.headers, response.data)
            return Answer(response.headers, _read(response, most))
        except urllib3.exceptions.HTTPError as error:
            # The retry policies of the clients and ``CALL_ERRORS`` know this one.
            raise requests.ConnectionError(error) from error


def _read(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """Return at most so many bytes of a body, as they are sent; raise ``HTTPError`` if the body ends too early."""
    content = b""
    while len(content) < most:
        piece = response.read(most - len(content), decode_content=False)
        if not piece:
            response.release_conn()
            return content
        content += piece
    response.close()
    return content


def _error(response: urllib3.BaseHTTPResponse, method: str, url: str) -> exceptions.GoogleAPICallError:
    """Return the error that a client raises for this answer."""
    text = response.data.decode(errors="replace")
    try:
        payload = json.loads(text)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        payload = {"error": {"message": text or "unknown error"}}
    error: exceptions.GoogleAPICallError = exceptions.format_http_response_error(
        _Failed(response.status), method, url, payload
    )
    return error


@dataclass(frozen=True)
class _Failed:
    """What errors keep of an answer."""

    status_code: int


def _pool(address: str) -> urllib3.PoolManager:
    """Return connections to an address, through the proxy that the environment names for it."""
    scheme, _, host = address.partition("://")
    options: dict[str, Any] = {"maxsize": MOST_THREADS, "ca_certs": certificates() or certifi.where()}
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)
