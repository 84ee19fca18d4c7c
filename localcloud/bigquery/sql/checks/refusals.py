"""The error for what BigQuery carries out and the local BigQuery does not."""

from __future__ import annotations

from localcloud.bigquery.base.errors import QueryError


def not_supported(what: str, why: str, *, place: str = "") -> QueryError:
    """Return the error that names a statement or a clause.

    Args:
        what: The name.
        why: Why it is not needed here, or what does the same.
        place: Where it is, as ``[line:column]``.
    """
    where = f" at {place}" if place else ""
    return QueryError(
        f"{what} is not supported by the local BigQuery{where}: {why}", reason="notImplemented", location="query"
    )
