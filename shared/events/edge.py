"""Where a request becomes an event, for the functions that take events.

functions-framework has a decorator for them, too, but reads the event before the function runs, and answers 500 to much
that is none: then its log holds the sender's text, in a traceback.
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
    """Make ``function`` one that functions-framework serves, and hand it the event of each request.

    A request that is no event is answered with 400. What ``function`` raises passes, so that the event comes again.

    It is registered as an HTTP function. That counts for more than the signature type ``cloudevent``, which a deployment
    with an event trigger asks for.
    """

    @wraps(function)
    def take(request: flask.Request) -> flask.typing.ResponseReturnValue:
        if request.method != "POST":
            return _refusal("method_not_allowed", "send a POST with a CloudEvent"), 405, {"Allow": "POST"}
        try:
            event = _read(request)
        except Exception as error:
            # Nothing is done but to read the request: whatever goes wrong stands in there, and the error may repeat it.
            log("WARNING", "a request that is no event is refused", reason=type(error).__name__)
            return _refusal("invalid_event", "the request is no CloudEvent, in neither binary nor structured mode"), 400
        function(event)
        return "OK", 200

    return functions_framework.http(take)


def _read(request: flask.Request) -> CloudEvent:
    """Return the event in ``request``; raise anything at all if there is none."""
    try:
        event = from_http(request.headers, request.get_data())
    except (MissingRequiredFields, InvalidRequiredFields):
        # The push of a subscription without a trigger has the message, but no attributes of an event.
        event = background_event_to_cloud_event(request)
    for name in REQUIRED_TEXTS:
        if not isinstance(event[name], str) or not event[name]:
            raise InvalidRequiredFields(name)
    return event


def _refusal(code: str, message: str) -> dict[str, dict[str, str | None]]:
    return {"error": {"code": code, "message": message, "field": None}}
