"""The right to all rows of a table, which operations other than queries need.

https://cloud.google.com/bigquery/docs/using-row-level-security-with-features#the_true_filter
"""

from __future__ import annotations

from bqemulator.api.dependencies import AppContext
from bqemulator.row_access.matcher import grantee_matches

from localcloud.bigquery.base.callers import identity_of
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import TableName


def sees_all_rows(context: AppContext, table: TableName, user: str) -> bool:
    """Return whether a table has no row access policies, or one with the filter TRUE for ``user``."""
    policies = context.catalog.list_row_access_policies(table.project, table.dataset, table.table)
    caller = identity_of(user)
    return not policies or any(
        policy.filter_predicate.strip("() \n").upper() == "TRUE"
        and any(grantee_matches(grantee, caller) for grantee in policy.grantees)
        for policy in policies
    )


def check_all_rows(context: AppContext, table: TableName, user: str) -> None:
    """Raise ``QueryError`` (``accessDenied``) if row access policies hide rows of a table from ``user``."""
    if not sees_all_rows(context, table, user):
        raise QueryError(
            f"Access Denied: Table {table}: It has row access policies. Operations other than queries need a policy with the "
            f"filter TRUE for {user}.",
            reason="accessDenied",
        )
