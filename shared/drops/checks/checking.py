"""Runs the check of a model: the statement to submit, and the result of its job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.checks.identifiers import ModelName
from shared.cloud.query_access import analyse_checked
from shared.cloud.query_jobs import Query
from shared.drops.checks import statements
from shared.drops.checks.model_check import ModelCheck
from shared.engine.services import Services
from shared.errors import Rejected
from shared.work import Job
from shared.work_facts import ModelSignature

# The field of `modeldrop.yaml` that holds the check.
CHECK_FIELD = "modeldrop.yaml.check"


def statement(
    check: ModelCheck, model: ModelName, signature: ModelSignature | None, location: str, services: Services
) -> str:
    """Return the query that checks a model.

    Args:
        check: The check.
        model: The model, which exists.
        signature: Its columns as its files describe them; None if they were not read.
        location: Where the model is.
        services: The services of this process.

    Raises:
        Rejected: BigQuery would not run the check, or it reads what it may not read, or it compares what does not exist.
    """
    query = statements.input_query(check, signature)
    field = f"{CHECK_FIELD}.query" if check.query is not None else f"{CHECK_FIELD}.rows"
    predicted = statements.predictions(model, query)
    sql = predicted if check.metric is None else statements.metric(check, predicted)
    analysis = analyse_checked(
        query if check.metric is None else f"{query}\n{check.metric}",
        lambda: services.bigquery.analyse(Query(sql, {}), location, field),
        services.bigquery,
        services.settings,
        field,
        inside=sql,
    )
    if analysis.statement not in {"", "SELECT"}:
        raise Rejected(f"{field} must be one SELECT, not {analysis.statement}", field=field, code="invalid_query")
    if check.metric is not None:
        return sql
    outputs = statements.compared_outputs(analysis.columns, field)
    return statements.comparison(check, predicted, analysis.columns, outputs)


def result_row(job: Job | None, services: Services) -> Mapping[str, Any]:
    """Return the one row of a check that has ended.

    Raises:
        Rejected: BigQuery no longer has it.
    """
    rows = services.bigquery.rows_of(job) if job is not None else []
    if not rows:
        raise Rejected(
            "the result of the check is gone; import the drop again", field=CHECK_FIELD, code="result_expired"
        )
    return rows[0]
