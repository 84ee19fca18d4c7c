"""A function on the local cloud sends its access tokens to no one but the local services."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from localcloud.base.clock import SystemClock
from localcloud.base.credentials import Credentials
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

TOKEN_URI = "http://127.0.0.1:9/token"
SCRIPT = """
import json, sys, threading
from localcloud.functions.fork_server import prepare

key, is_prepared = json.loads(sys.argv[1])
if is_prepared:
    prepare({"absent": [], "overwritten": {}, "imported_before": ["google.auth.transport", "google.auth.credentials"]})

from google.auth import transport
from google.oauth2 import service_account

requested = []

class Answer(transport.Response):
    status, headers = 200, {}
    data = b'{"access_token": "ya29.local-x", "expires_in": 3600}'

class Transport(transport.Request):
    def __call__(self, url, **named):
        requested.append(url)
        return Answer()

account = service_account.Credentials.from_service_account_info(key, scopes=["https://www.googleapis.com/auth/bigquery"])
account.before_request(Transport(), "GET", "http://127.0.0.1:9/bigquery", {})
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
print(json.dumps(requested))
"""


@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_function_does_not_look_up_its_account_at_google(is_prepared: bool) -> None:
    """The second case shows that google-auth does so elsewhere: otherwise the first would show nothing."""
    key = Credentials(project="p", account="a", token_uri=TOKEN_URI, clock=SystemClock()).key
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([key, is_prepared])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LAST_LIMIT,
        check=True,
    )
    token_request, *others = json.loads(done.stdout)
    assert token_request == TOKEN_URI
    assert any("iamcredentials.googleapis.com" in url for url in others) is not is_prepared
