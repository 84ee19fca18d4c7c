"""The decorators of functions: they read the CloudEvent of an HTTP request, enter its trace, and answer errors.

The decorator of functions-framework reads the event before the function runs, and answers many requests that are not
events with 500. Its log then holds a traceback with the sender's text. So does its log of an error that a function raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps

import flask
import functions_framework
from cloudevents.exceptions import InvalidRequiredFields, MissingRequiredFields
from cloudevents.http import CloudEvent, from_http
from functions_framework.event_conversion import background_event_to_cloud_event

from shared import spans, trace
from shared.errors import ModeldropError, TryLater, short_reason
from shared.log import log, log_bug

# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes
REQUIRED_TEXTS = ("id", "source", "type")


HttpFunction = Callable[[flask.Request], flask.typing.ResponseReturnValue]


def cloud_event(function: Callable[[CloudEvent], None]) -> HttpFunction:
    """Register ``function`` with functions-framework, and call it with the event of each request.

    A request that is not an event gets the status 400. If ``function`` raises an error, the status is 503 or 500, so that the
    event is delivered again.

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

        def call() -> flask.typing.ResponseReturnValue:
            function(event)
            return "OK", 200

        return _answer(
            call, function.__name__, spans.CONSUMER, _trace_of_message(event) or trace.of_headers(request.headers.get)
        )

    return functions_framework.http(handle)


def http_function(function: HttpFunction) -> HttpFunction:
    """Register ``function`` with functions-framework, and call it with each request. An error gets the status 503 or 500."""

    @wraps(function)
    def handle(request: flask.Request) -> flask.typing.ResponseReturnValue:
        return _answer(
            lambda: function(request), function.__name__, spans.SERVER, trace.of_headers(request.headers.get)
        )

    return functions_framework.http(handle)


def _answer(
    call: Callable[[], flask.typing.ResponseReturnValue], name: str, kind: str, parent: trace.TraceContext | None
) -> flask.typing.ResponseReturnValue:
    """Return what ``call`` returns, or the response to its error, which is logged without data of users."""
    with trace.within(parent):
        try:
            with spans.span(name, kind):
                return call()
        except TryLater as error:
            log("WARNING", "the request is not accepted; its sender must send it again", reason=short_reason(error))
            return _error_body("try_later", str(error)), 503
        except Exception as error:
            # Only the text of errors of ours is known to hold no data.
            log_bug(error, reason=short_reason(error) if isinstance(error, ModeldropError) else None)
            return _error_body("internal_error", "an error of the program, which its log describes"), 500
        finally:
            spans.flush()


def _trace_of_message(event: CloudEvent) -> trace.TraceContext | None:
    """Return the span in which the message in an event was published; None if it names none."""
    message = event.data.get("message") if isinstance(event.data, Mapping) else None
    attributes = message.get("attributes") if isinstance(message, Mapping) else None
    return trace.of_attributes(attributes) if isinstance(attributes, Mapping) else None


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
