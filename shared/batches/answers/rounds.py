"""The rounds of a batch: what its jobs answered, whether rows are sent again, and the query of all answers together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shared.batch_work import BatchFacts, BatchResult, BatchRound, Failures, LineFormat, Tokens
from shared.batches.answers.answers import (
    INCOMPLETE,
    LONGEST_EXAMPLE,
    RETRYABLE_CODES,
    TOKENS,
    AnswerTable,
    all_answers,
)
from shared.batches.answers.moving import with_types_of
from shared.batches.answers.repeating import requests_to_repeat
from shared.batches.answers.replacing import SentAgain, replace_failures, sent_again
from shared.batches.inputs.rules import Requests
from shared.batches.lines.statements import (
    answer_columns,
    answers_of_lines,
    comparable_requests,
    requests_for_answers,
    requests_of_lines,
)
from shared.batches.output.places import table_at, table_of
from shared.checks.identifiers import TableName
from shared.engine.services import Services
from shared.errors import Rejected

SUCCEEDED, PARTIALLY_SUCCEEDED = "JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"
Columns = tuple[Mapping[str, Any], ...]


def answer_tables(
    rounds: Iterable[BatchRound], format_: LineFormat | None, services: Services
) -> tuple[list[AnswerTable], list[str]]:
    """Return the answers that jobs of a batch wrote, and which rows each job was sent again.

    Args:
        rounds: The jobs.
        format_: How the lines of files are read, if they wrote files.
        services: The services of this process.

    Raises:
        Rejected: A table does not exist.
    """
    tables, repeats = [], []
    for round_ in rounds:
        if not round_.written:
            continue
        table = table_at(round_.answers)
        assert table is not None
        found = services.tables.describe(table)
        if found is None:
            raise Rejected(
                f"the table of the answers, {table}, does not exist: it has expired, or somebody deleted it",
                code="answers_not_found",
            )
        if round_.folder is None:
            tables.append(AnswerTable(table, found.columns))
        else:
            assert format_ is not None
            tables.append(AnswerTable(table, answer_columns(format_), answers_of_lines(table, format_)))
        repeats.append(round_.repeats)
    return tables, repeats


def answers_query(facts: BatchFacts, services: Services) -> tuple[str, AnswerTable]:
    """Return the query of all answers of a batch, and a table with the same columns. Raises ``Rejected``."""
    tables, repeats = answer_tables(facts.rounds, facts.line_format, services)
    return all_answers(tables, repeats), tables[0]


def later_answers(facts: BatchFacts, services: Services) -> tuple[str, AnswerTable]:
    """Return the query of the rows that this run of a batch has sent again, and a table with the same columns.

    Raises:
        Rejected: A table of answers does not exist.
    """
    tables, repeats = answer_tables(facts.rounds[facts.moved :], facts.line_format, services)
    if tables:
        return all_answers(tables, repeats), tables[0]
    # The job that was sent has written nothing.
    query, like = answers_query(facts, services)
    return f"SELECT * FROM (\n{query}\n) WHERE FALSE", like


def rows_sent_again(facts: BatchFacts, written: int, services: Services, columns: Columns | None = None) -> SentAgain:
    """Return the rows that had failed when the answers of the first jobs were written, and the same rows as they are now.

    Args:
        facts: The facts of the batch.
        written: How many jobs had ended then.
        services: The services of this process.
        columns: The columns of the table into which the answers were written, each as a TableFieldSchema, whose types the rows
            get; None: the rows keep theirs.

    Raises:
        Rejected: A table of answers does not exist.
    """
    former, modes = answer_tables(facts.rounds[:written], facts.line_format, services)
    later, repeats = answer_tables(facts.rounds[written:], facts.line_format, services)
    if columns is not None:
        former, later = ([with_types_of(each, columns) for each in tables] for tables in (former, later))
    return sent_again(all_answers(former, modes), former[0], later, repeats)


def replacement(facts: BatchFacts, target: TableName, columns: Columns, services: Services) -> str:
    """Return the statement that puts later answers in place of failures that were moved before.

    Args:
        facts: The facts of the batch.
        target: The output.
        columns: Its columns, each as a TableFieldSchema.
        services: The services of this process.

    Raises:
        Rejected: A table of answers does not exist.
    """
    return replace_failures(AnswerTable(target, columns), rows_sent_again(facts, facts.moved, services, columns))


def ended_round(facts: BatchFacts, *, written: bool) -> BatchFacts:
    """Return the facts after the current job has ended."""
    assert facts.answers is not None
    source = facts.source[0] if table_at(facts.source[0]) else None
    round_ = BatchRound(source, facts.answers, facts.repeats, written, facts.job_folder)
    return replace(facts, rounds=(*facts.rounds, round_))


def reviewed(facts: BatchFacts, rows: Iterable[Mapping[str, Any]]) -> BatchFacts:
    """Return the facts with the counts that a review of all answers has.

    Args:
        facts: The facts after the last job.
        rows: The rows of ``answers.review``.
    """
    before = facts.result or BatchResult(SUCCEEDED, None, None, None)
    counts = {str(row["code"]): row for row in rows}
    answered = int(counts.get("", {}).get("requests", 0))
    incomplete = int(counts.get(INCOMPLETE, {}).get("requests", 0))
    failures = tuple(
        Failures(code, int(row["requests"]), " ".join(str(row["example"] or "").split())[:LONGEST_EXAMPLE])
        for code, row in counts.items()
        if code not in {"", INCOMPLETE}
    )
    failed = sum(each.requests for each in failures)
    # Requests that the first job did not come to are in no table, until they are sent again.
    absent = before.incomplete or 0
    if facts.check is not None:
        absent = 0 if facts.unsent_parts > 0 else max(0, facts.check.requests - answered - failed - incomplete)
    elif len(facts.rounds) > 1:
        known = (before.succeeded or 0) + (before.failed or 0) + absent
        absent = max(0, known - answered - failed - incomplete)
    else:
        absent = max(0, absent - incomplete)
    tokens = Tokens(**{name: sum(int(row[name]) for row in counts.values()) for name in TOKENS})
    complete = not failed and not incomplete and not absent
    state = SUCCEEDED if complete and len(facts.rounds) > 1 else before.state
    result = BatchResult(state, answered, failed, incomplete + absent, failures, tokens)
    return replace(facts, result=result)


def may_be_answered_later(facts: BatchFacts) -> int:
    """Return how many rows failed for a passing reason, or were not come to."""
    assert facts.result is not None
    return (facts.result.incomplete or 0) + sum(
        each.requests for each in facts.result.failures if each.code in RETRYABLE_CODES
    )


def repeat_query(facts: BatchFacts, services: Services) -> str:
    """Return the query that has the requests to send again. Raises ``Rejected``."""
    query, like = answers_query(facts, services)
    result = facts.result
    # Without a review it is not known which requests the job did not come to.
    some_are_absent = result is None or result.tokens is None or bool(result.incomplete)
    sources = _requests_sent(facts, like, services) if some_are_absent else []
    return requests_to_repeat(query, like, facts.repeats, sources=sources, complete=_is_sent_from_lines(facts))


def _is_sent_from_lines(facts: BatchFacts) -> bool:
    """Return whether the loaded lines of the input's files have all requests of a batch."""
    return facts.lines is not None and facts.line_format is not None and not facts.is_divided


def _requests_sent(facts: BatchFacts, like: AnswerTable, services: Services) -> list[str]:
    """Return the requests of all jobs as SQL, written as in the answers, as far as they are in tables that exist.

    One query reads tables of one location only, so that requests in another one than the answers are left out.
    """
    place, found = services.bigquery.location_of(table_of(facts.answers).dataset_name), []
    for table in (table_at(each.requests) for each in facts.rounds if not each.repeats):
        columns = services.tables.describe(table) if table else None
        if table is None or columns is None or services.bigquery.location_of(table.dataset_name) != place:
            continue
        if facts.folder is None or facts.line_format is None:
            found.append(table.sql)
        else:
            found.append(comparable_requests(table.sql, columns.columns, facts.line_format))
    if _is_sent_from_lines(facts) and (of_lines := _requests_of_lines(facts, like)) is not None:
        found.append(of_lines)
    return found


def _requests_of_lines(facts: BatchFacts, like: AnswerTable) -> str | None:
    """Return the requests in the loaded lines as SQL, with the columns of ``like``; None if they cannot be compared."""
    assert facts.line_format is not None
    if facts.folder is not None:
        return requests_of_lines(table_of(facts.lines), facts.line_format)
    columns = [column for column in like.columns if column["name"] in like.request_names]
    return requests_for_answers(table_of(facts.lines), columns, Requests(facts.line_format.kind))
