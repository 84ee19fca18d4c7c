"""The decorator of functions that take events: it reads the CloudEvent of an HTTP request.

The decorator of functions-framework reads the event before the function runs, and answers many requests that are not
events with 500. Its log then holds a traceback with the sender's text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import flask
import functions_framework
from cloudevents.exceptions import InvalidRequiredFields, MissingRequiredFields
from cloudevents.http import CloudEvent, from_http
from functions_framework.event_conversion import background_event_to_cloud_event

from shared.log import log

# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes
REQUIRED_TEXTS = ("id", "source", "type")


def cloud_event(
    function: Callable[[CloudEvent], None],
) -> Callable[[flask.Request], flask.typing.ResponseReturnValue]:
    """Register ``function`` with functions-framework, and call it with the event of each request.

    A request that is not an event gets the status 400. Errors of ``function`` are raised, so that the event is delivered
    again.

    The function is registered as an HTTP function. This overrides the signature type ``cloudevent``, which a deployment
    with an event trigger sets.
    """

    @wraps(function)
    def handle(request: flask.Request) -> flask.typing.ResponseReturnValue:
        if request.method != "POST":
            return _error_body("method_not_allowed", "send a POST with a CloudEvent"), 405, {"Allow": "POST"}
        try:
            event = _read(request)
        except Exception as error:
            # The request alone can be wrong here. The error may repeat its text, so only its type is logged.
            log("WARNING", "rejected a request that is not a CloudEvent", reason=type(error).__name__)
            return _error_body("invalid_event", "the request is not a CloudEvent in binary or structured mode"), 400
        function(event)
        return "OK", 200

    return functions_framework.http(handle)


def _read(request: flask.Request) -> CloudEvent:
    """Return the event in ``request``. The errors of a request without one are of many types."""
    try:
        event = from_http(request.headers, request.get_data())
    except (MissingRequiredFields, InvalidRequiredFields):
        # A push subscription without an event trigger sends the message without the attributes of an event.
        event = background_event_to_cloud_event(request)
    for name in REQUIRED_TEXTS:
        if not isinstance(event[name], str) or not event[name]:
            raise InvalidRequiredFields(name)
    return event


def _error_body(code: str, message: str) -> dict[str, dict[str, str | None]]:
    return {"error": {"code": code, "message": message, "field": None}}
