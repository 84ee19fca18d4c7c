"""CREATE MATERIALIZED VIEW in the one form that bqemulator reads; it takes other forms for plain views.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_materialized_view_statement
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, read_statement

_HEAD = re.compile(
    r"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?MATERIALIZED\s+VIEW\s+(?P<optional>IF\s+NOT\s+EXISTS\s+)?[\w`.-]+\s*"
    r"(?P<layout>(?:PARTITION|CLUSTER)\s+BY\b.*?)?\bAS\b",
    re.IGNORECASE | re.DOTALL,
)


def plain_materialized_view(statement: Statement, statements: Statements) -> Statement:
    """Return the statement without OR REPLACE and IF NOT EXISTS, whose view does not exist any more.

    Raises:
        QueryError: The query is not valid, or the view has partitions or clusters, which are not supported.
    """
    head, target = _HEAD.match(statement.sql), statement.target
    if head is None or target is None:
        return statement
    if head["layout"]:
        raise QueryError(
            "PARTITION BY and CLUSTER BY of a materialized view are not supported by the local BigQuery: leave them out",
            reason="notImplemented",
            location="query",
        )
    existing = statements.destinations.get(target)
    if existing is not None and head["optional"]:
        return statement
    query = statement.sql[head.end() :]
    if existing is not None and head["replace"]:
        statements.describe(query)
        kind = "MATERIALIZED VIEW" if existing.table_type == "MATERIALIZED_VIEW" else existing.table_type
        statements.execute(f"DROP {kind} {target.sql}", statement.sql)
    return read_statement(f"CREATE MATERIALIZED VIEW {target.sql} AS {query}", project=statements.project)
