"""The statements that create and drop row access policies.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_row_access_policy_statement
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, TableName
from localcloud.bigquery.sql.reading.tokens import Cursor, syntax_error

_CREATE, _DROP = "CREATE_ROW_ACCESS_POLICY", "DROP_ROW_ACCESS_POLICY"
_PLACE = re.compile(r" at \[\d+:\d+\]")


@dataclass(frozen=True)
class PolicyStatement:
    """A statement about row access policies.

    Attributes:
        kind: BigQuery's ``statementType``.
        table: The table with the policies.
        policy: The name of the policy; None for all policies of the table.
        replaces: Whether a policy of the name is replaced (OR REPLACE).
        conditional: Whether nothing is done if the policy exists already, or does not exist.
        grantees: Who sees the rows of a new policy.
        condition: The condition of the rows of a new policy.
    """

    kind: str
    table: TableName
    policy: str | None
    replaces: bool = False
    conditional: bool = False
    grantees: tuple[str, ...] = ()
    condition: str = ""


def policy_statement(statement: Statement, statements: Statements) -> PolicyStatement | None:
    """Return a statement about row access policies, or None if it is another one. Raises ``QueryError``."""
    if statement.kind not in (_CREATE, _DROP):
        return None
    cursor = Cursor(statement.sql)
    cursor.take()
    return _create(cursor, statements) if statement.kind == _CREATE else _drop(cursor, statements)


def run_policy_statement(found: PolicyStatement, statements: Statements) -> dict[str, Any]:
    """Create or drop row access policies; return the ``statistics.query`` of the statement.

    Raises:
        QueryError: The table or the policy does not exist, the policy exists already, or its condition is not valid.
    """
    table, manager = found.table, statements.context.row_access
    if statements.context.catalog.get_table(table.project, table.dataset, table.table) is None:
        raise NotFound(f"Not found: Table {table} was not found in location {statements.location}")
    names = [each.policy_id for each in manager.list_for_table(table.project, table.dataset, table.table)]
    if found.kind == _DROP:
        return _dropped(found, names, statements)
    exists = found.policy in names
    if exists and not found.replaces:
        if found.conditional:
            return _statistics(found, "SKIP")
        raise QueryError(f"Already Exists: Row access policy {found.policy} on table {table}", reason="duplicate")
    _check_condition(found, statements)
    change = manager.update if exists else manager.create
    change(
        project_id=table.project,
        dataset_id=table.dataset,
        table_id=table.table,
        policy_id=str(found.policy),
        filter_predicate=found.condition,
        grantees=found.grantees,
    )
    return _statistics(found, "REPLACE" if exists else "CREATE")


def _check_condition(found: PolicyStatement, statements: Statements) -> None:
    try:
        statements.describe(f"SELECT 1 FROM {found.table.sql} WHERE (\n{found.condition}\n)")
    except QueryError as error:
        problem = _PLACE.sub("", error.message)
        raise QueryError(
            f"The filter of row access policy {found.policy} is not valid: {problem}", location="query"
        ) from error


def _dropped(found: PolicyStatement, names: list[str], statements: Statements) -> dict[str, Any]:
    table = found.table
    if found.policy is not None and found.policy not in names:
        if found.conditional:
            return _statistics(found, "SKIP")
        raise NotFound(f"Not found: Row access policy {found.policy} on table {table}")
    dropped = names if found.policy is None else [found.policy]
    for name in dropped:
        statements.context.row_access.delete(
            project_id=table.project, dataset_id=table.dataset, table_id=table.table, policy_id=name
        )
    statistics = _statistics(found, "DROP")
    return statistics if found.policy else statistics | {"ddlAffectedRowAccessPolicyCount": str(len(dropped))}


def _statistics(found: PolicyStatement, operation: str) -> dict[str, Any]:
    """Return the statistics of https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2."""
    statistics: dict[str, Any] = {"statementType": found.kind, "ddlOperationPerformed": operation}
    if found.policy is None:
        return statistics | {"ddlTargetTable": found.table.reference()}
    return statistics | {"ddlTargetRowAccessPolicy": found.table.reference() | {"policyId": found.policy}}


def _create(cursor: Cursor, statements: Statements) -> PolicyStatement:
    replaces = cursor.take_words("OR", "REPLACE")
    for word in ("ROW", "ACCESS", "POLICY"):
        cursor.expect_word(word)
    conditional = cursor.take_words("IF", "NOT", "EXISTS")
    policy = _policy(cursor)
    table = _table(cursor, statements)
    # Without GRANT TO, everybody who may query the table sees the rows.
    grantees: tuple[str, ...] = ("allAuthenticatedUsers",)
    if cursor.take_words("GRANT", "TO"):
        grantees = _grantees(cursor)
    cursor.expect_word("FILTER")
    cursor.expect_word("USING")
    opening = cursor.peek()
    if opening is None or not opening.is_symbol("("):
        raise cursor.expected('"("')
    start, end = cursor.skip_group()
    cursor.expect_end()
    condition = cursor.sql[start:end].strip()
    return PolicyStatement(
        _CREATE, table, policy, replaces=replaces, conditional=conditional, grantees=grantees, condition=condition
    )


def _drop(cursor: Cursor, statements: Statements) -> PolicyStatement:
    takes_all = cursor.take_words("ALL")
    cursor.expect_word("ROW")
    cursor.expect_word("ACCESS")
    cursor.expect_word("POLICIES" if takes_all else "POLICY")
    conditional = not takes_all and cursor.take_words("IF", "EXISTS")
    policy = None if takes_all else _policy(cursor)
    table = _table(cursor, statements)
    cursor.expect_end()
    return PolicyStatement(_DROP, table, policy, conditional=conditional)


def _policy(cursor: Cursor) -> str:
    token = cursor.take()
    if token.kind not in ("word", "quoted"):
        raise syntax_error(cursor.sql, f"Expected the name of a policy but got {token.named()}", token.start)
    return token.text


def _table(cursor: Cursor, statements: Statements) -> TableName:
    cursor.expect_word("ON")
    parts, _ = cursor.take_path()
    table = table_name(parts, statements.project, statements.default_dataset)
    table.check()
    return table


def _grantees(cursor: Cursor) -> tuple[str, ...]:
    cursor.expect_symbol("(")
    found = []
    while True:
        token = cursor.take()
        if token.kind != "string":
            raise syntax_error(cursor.sql, f"Expected string literal but got {token.named()}", token.start)
        found.append(token.text)
        if not cursor.take_symbol(","):
            cursor.expect_symbol(")")
            return tuple(found)
