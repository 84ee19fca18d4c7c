"""The configuration of query jobs, in the words of BigQuery's client."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery

from shared.cloud.query_jobs import Query

_WRITE_DISPOSITIONS = {"empty": "WRITE_EMPTY", "truncate": "WRITE_TRUNCATE", "append": "WRITE_APPEND"}
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types
_PARAMETER_TYPES = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING"}


def query_configuration(query: Query) -> bigquery.QueryJobConfig:
    """Return the configuration of a query job."""
    config = bigquery.QueryJobConfig(use_legacy_sql=False, labels=dict(query.labels))
    config.priority = query.priority.upper()
    if query.maximum_bytes_billed is not None:
        config.maximum_bytes_billed = query.maximum_bytes_billed
    if query.destination is not None:
        config.destination = bigquery.TableReference.from_string(str(query.destination))
        config.write_disposition = _WRITE_DISPOSITIONS[query.write]
        config.create_disposition = "CREATE_IF_NEEDED"
    if query.parameters:
        config.query_parameters = [_parameter(name, value) for name, value in query.parameters]
    return config


def _parameter(name: str, value: Any) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, _PARAMETER_TYPES[type(value[0])], value)
    return bigquery.ScalarQueryParameter(name, _PARAMETER_TYPES[type(value)], value)
