"""The query of the requests that are sent again: those of rows that failed, and those that a job did not come to."""

from __future__ import annotations

from collections.abc import Sequence

from shared.batches.answers.answers import AnswerTable, numbered
from shared.checks.identifiers import column_sql

_SAME = "ON wanted.modeldrop_row = present.modeldrop_row AND wanted.modeldrop_number = present.modeldrop_number"


def requests_to_repeat(
    answers: str, like: AnswerTable, rows: str, *, sources: Sequence[str] = (), complete: bool = False
) -> str:
    """Return the query that has the requests of the rows without an answer.

    Args:
        answers: The query that has the rows.
        like: A table with the same columns.
        rows: Which rows: ``retryable`` leaves out those that would fail again, ``failed`` does not.
        sources: The requests of the jobs as SQL, if some of them are not in ``answers`` at all; these are added.
        complete: Whether ``sources`` have the requests of all answers. None is added then if an answer has a request that is
            not among them: Vertex AI has changed the requests, so that those without an answer cannot be told from the others.
    """
    columns = ", ".join(map(column_sql, like.request_names))
    condition = like.condition(rows)
    failed = f"SELECT {columns}\nFROM (\n{answers}\n)\nWHERE {condition}"
    if not sources:
        return failed
    given = "\nUNION ALL\n".join(f"SELECT {columns} FROM {source}" for source in sources)
    wanted, present = (numbered(query, like, like.content_key) for query in (given, answers))
    absent = (
        f"SELECT {', '.join(f'wanted.{column_sql(name)}' for name in like.request_names)}\n"
        f"FROM ({wanted}) AS wanted\nLEFT JOIN ({present}) AS present\n{_SAME}\nWHERE present.modeldrop_row IS NULL"
    )
    if complete:
        absent += (
            f"\nAND NOT EXISTS(SELECT 1 FROM ({present}) AS present\n"
            f"LEFT JOIN ({wanted}) AS wanted\n{_SAME}\nWHERE wanted.modeldrop_row IS NULL)"
        )
    return f"{failed}\nUNION ALL\n{absent}"
