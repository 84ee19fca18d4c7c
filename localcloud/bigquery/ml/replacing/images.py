"""Replaces the calls of functions over images."""

from __future__ import annotations

from localcloud.bigquery.ml.calls import Argument, Call, find_calls
from localcloud.bigquery.ml.features.images import DECODE_AND_RESIZE, IMAGE_FUNCTIONS
from localcloud.bigquery.ml.replacing.context import CallContext


class ImageCalls:
    """The calls in one statement."""

    def __init__(self, context: CallContext) -> None:
        """Replace calls in the statement of ``context``."""
        self._context = context

    def expression(self, call: Call) -> str:
        """Return the GoogleSQL that replaces a call.

        Raises:
            QueryError: The call has another number of arguments, or one of them is not valid.
        """
        function, arguments = IMAGE_FUNCTIONS[call.name], list(call.arguments)
        if call.name == "ML.RESIZE_IMAGE" and arguments:
            inner = self._whole_call(arguments[0], "ML.DECODE_IMAGE")
            if inner is not None and len(inner.arguments) == 1:
                function, arguments[0] = DECODE_AND_RESIZE, inner.arguments[0]
        if len(arguments) != len(function.parameters):
            raise self._context.arguments.invalid(
                call, f"it takes {len(IMAGE_FUNCTIONS[call.name].parameters)} arguments."
            )
        rewritten = ", ".join(self._context.rewrite(argument.span) for argument in arguments)
        registered = self._context.register(
            function.name, function.function, list(function.parameters), function.returns
        )
        return f"{registered}({rewritten})"

    def _whole_call(self, argument: Argument, name: str) -> Call | None:
        """Return the call of ``name`` if an argument consists of nothing else, or None."""
        calls = list(find_calls(self._context.sql, frozenset({name}), argument.span))
        return calls[0] if len(calls) == 1 and calls[0].span == argument.span else None
