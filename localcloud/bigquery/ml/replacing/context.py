"""What the replacement of a call needs from its statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from localcloud.bigquery.base.call_statistics import CallStatistics
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.arguments import CallArguments
from localcloud.bigquery.ml.calls import Call, Span
from localcloud.bigquery.ml.predicting.functions import Functions


@dataclass(frozen=True)
class CallContext:
    """The statement of a call.

    Attributes:
        sql: The text of the statement.
        session: The job that runs it.
        arguments: Reads the arguments of its calls.
        rewrite: Returns a part of the statement without ML functions.
        functions: The registered functions of DuckDB.
    """

    sql: str
    session: Session
    arguments: CallArguments
    rewrite: Callable[[Span], str]
    functions: Functions

    def register(self, name: str, function: Callable[..., pa.Array], parameters: list[str], returns: str) -> str:
        """Register a function over Arrow arrays unless it is registered; return its name."""
        return self.functions.register(self.session.connection, name, function, parameters, returns)

    def register_counted(
        self, name: str, function: Callable[..., pa.Array], parameters: list[str], returns: str
    ) -> str:
        """Register a function whose rows are counted by the status that it returns; return its name."""
        return self.functions.register_counted(self.session.connection, name, function, parameters, returns, "status")

    def call_number(self, call: Call, prompt: str | None = None, max_error_ratio: float | None = None) -> int:
        """Return the number by which the rows of a call are counted."""
        statistics = CallStatistics(call.name, prompt, max_error_ratio)
        self.session.model_calls.append(statistics)
        return self.functions.call_number(statistics)
