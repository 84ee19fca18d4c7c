"""Replaces the calls of functions that generate text."""

from __future__ import annotations

import re

from localcloud.bigquery.ml.arguments import split_items
from localcloud.bigquery.ml.calls import Argument, Call, Span
from localcloud.bigquery.ml.generating.generated import SCALAR_FUNCTION, TYPED_FUNCTIONS, GeneratedCalls, create_request
from localcloud.bigquery.ml.generating.generation import check_generates
from localcloud.bigquery.ml.generating.managed import (
    MANAGED_FUNCTIONS,
    allowed_errors,
    check_arguments,
    managed_request,
)
from localcloud.bigquery.ml.replacing.context import CallContext
from localcloud.bigquery.sql.reading.tokens import Cursor
from localcloud.gemini.backends import ModelBackend

SCALAR_FUNCTIONS = frozenset({SCALAR_FUNCTION, *TYPED_FUNCTIONS, *MANAGED_FUNCTIONS})
# The name of a field of a STRUCT.
_ALIAS = re.compile(r"\s+AS\s+(?:\w+|`[^`]+`)\s*$", re.IGNORECASE)


class GenerationCalls:
    """The calls in one statement."""

    def __init__(self, context: CallContext, backend: ModelBackend | None) -> None:
        """Replace calls in the statement of ``context`` by calls of ``backend``; None makes each an error."""
        self._context = context
        self._generated = GeneratedCalls(backend, context.functions, context.session.connection)

    def subquery(self, call: Call) -> str:
        """Return the subquery of a call over a table. Raises ``QueryError`` if it is not valid."""
        model, query, options = self._context.arguments.remote_call(call)
        check_generates(call.name, model)
        request = create_request(call.name, model, options)
        columns = self._context.arguments.describe(call, query)
        prompt = options.get("prompt")
        number = self._context.call_number(call, None if prompt is None else str(prompt))
        return self._generated.table(request, query, columns, number, prompt)

    def expression(self, call: Call) -> str:
        """Return the expression of a call over one row. Raises ``QueryError`` if it is not valid."""
        first = "input" if call.name == "AI.CLASSIFY" else "prompt"
        given = self._context.arguments.named_arguments(
            call, (first, "categories") if call.name == "AI.CLASSIFY" else (first,)
        )
        prompt = given.pop(first, None)
        if prompt is None:
            raise self._context.arguments.invalid(call, f"it takes {'an' if first == 'input' else 'a'} {first}.")
        managed = call.name in MANAGED_FUNCTIONS
        if managed:
            check_arguments(call.name, given.keys() - {"connection_id", "endpoint"})
        embeddings = given.pop("embeddings", None) if managed else None
        options = {name: self._context.arguments.evaluate(argument.span) for name, argument in given.items()}
        endpoint = self._context.arguments.endpoint(options)
        check_generates(call.name, endpoint)
        text, struct = self._rewrite_prompt(prompt)
        if embeddings is not None:
            # They have no effect, but a column that does not exist or is not an array is an error.
            text = (
                f"STRUCT({text} AS prompt, ARRAY_LENGTH({self._context.rewrite(embeddings.span)}) AS embedded).prompt"
            )
        written = prompt.span.text_in(self._context.sql)
        if managed:
            request = managed_request(call.name, endpoint, options, with_embeddings=embeddings is not None)
            number = self._context.call_number(call, written, allowed_errors(call.name, options))
        else:
            request = create_request(call.name, endpoint, options)
            number = self._context.call_number(call, written)
        return self._generated.scalar(request, text, number, struct=struct)

    def _rewrite_prompt(self, prompt: Argument) -> tuple[str, bool]:
        """Return the GoogleSQL of a prompt, and whether it is a STRUCT, such as ``(a, b)``."""
        cursor = Cursor(self._context.sql, prompt.first, prompt.last)
        struct = cursor.take_words("STRUCT")
        opening = cursor.peek()
        if opening is None or not opening.is_symbol("("):
            return self._context.rewrite(prompt.span), False
        inside = Span(*cursor.skip_group())
        items = list(split_items(self._context.sql, inside))
        if cursor.peek() is not None or (len(items) == 1 and not struct):
            return self._context.rewrite(prompt.span), False
        values = [Span(item.start, item.start + len(_ALIAS.sub("", item.text_in(self._context.sql)))) for item in items]
        fields = ", ".join(f"{self._context.rewrite(value)} AS part{index}" for index, value in enumerate(values))
        return f"STRUCT({fields})", True
