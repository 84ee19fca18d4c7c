"""Calls of Google's APIs that gcloud has no command for, with the token that gcloud prints."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from deploy.applying.cloud import CommandFailedError, NotFoundError

ANSWER_SECONDS = 30


def call(token: str, api: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make one call: GET without a body, else POST.

    Args:
        token: What `gcloud auth print-access-token` prints.
        api: The name of the API, such as ``cloudresourcemanager``. gcloud's variable for its address is respected:
            https://cloud.google.com/sdk/docs/properties#setting_properties_using_environment_variables
        path: The path, without a leading slash.
        body: The body.

    Raises:
        NotFoundError: The resource does not exist.
        CommandFailedError: The call failed; the message has the API and the error.
    """
    base = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}", f"https://{api}.googleapis.com/")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{base.rstrip('/')}/{path}", data=data, headers=headers)
    return answer_of(request, f"{api}.googleapis.com/{path}")


def find(token: str, api: str, path: str) -> dict[str, Any] | None:
    """Return a resource, as `call` does; None if it does not exist."""
    try:
        return call(token, api, path)
    except NotFoundError:
        return None


def answer_of(request: urllib.request.Request, called: str) -> dict[str, Any]:
    """Return the JSON object that a server answers; errors name what is ``called``.

    Raises:
        NotFoundError: The resource does not exist.
        CommandFailedError: The call failed in another way.
    """
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        kind = NotFoundError if error.code == 404 else CommandFailedError
        raise kind(f"{called}\n{_message(error)}") from error
    except (OSError, ValueError) as error:
        raise CommandFailedError(f"{called}\n{error}") from error
    return answer if isinstance(answer, dict) else {}


def _message(error: urllib.error.HTTPError) -> str:
    try:
        found = json.load(error)["error"]
        return f"{found['status']}: {found['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason}"
