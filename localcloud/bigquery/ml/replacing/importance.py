"""Replaces the calls of ML.FEATURE_IMPORTANCE."""

from __future__ import annotations

from localcloud.bigquery.ml.arguments import CallArguments
from localcloud.bigquery.ml.calls import Call
from localcloud.bigquery.ml.predicting.prediction import string_literal


def importance_subquery(call: Call, arguments: CallArguments) -> str:
    """Return the subquery of a call. Raises ``QueryError`` if its model is not of boosted trees.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-importance
    """
    if len(call.arguments) != 1:
        raise arguments.invalid(call, "it takes a model.")
    model = arguments.model(call)
    if model.type != "XGBOOST" or model.signature is None:
        raise arguments.invalid(call, f"it is for boosted trees, and model {model.reference} is not one.")
    rows = ", ".join(
        f"STRUCT({string_literal(each.feature)} AS feature, CAST({each.weight!r} AS FLOAT64) AS importance_weight, "
        f"CAST({each.gain!r} AS FLOAT64) AS importance_gain, CAST({each.cover!r} AS FLOAT64) AS importance_cover)"
        for each in model.signature.importance
    )
    if not rows:
        raise arguments.invalid(call, f"model {model.reference} has no splits. Import it again if it has trees.")
    return f"(SELECT * FROM UNNEST([{rows}]))"
