"""The definitions of external tables in REST resources of tables.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#ExternalDataConfiguration
"""

from __future__ import annotations

from typing import Any

from localcloud.bigquery.base.connections import connection_name
from localcloud.bigquery.ml.predicting.prediction import string_literal
from localcloud.bigquery.queries.files.external_definitions import check_definition
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.files.loading import TEXT_FORMATS


def definition_of_files(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the definition of the external table over files in a table resource; None if it is an object table.

    Raises:
        QueryError: A field is missing or not valid.
    """
    definition: dict[str, Any] = dict(body["externalDataConfiguration"])
    if definition.get("objectMetadata"):
        return None
    check_definition(definition)
    if (body.get("schema") or {}).get("fields"):
        definition.setdefault("schema", body["schema"])
    if not (definition.get("schema") or {}).get("fields") and definition["sourceFormat"] in TEXT_FORMATS:
        definition["autodetect"] = True
    return definition


def object_table_sql(name: TableName, definition: dict[str, Any]) -> str:
    """Return the statement that creates an object table."""
    connection = connection_name(str(definition.get("connectionId") or ""), name.project, "")
    uris = ", ".join(string_literal(str(uri)) for uri in definition.get("sourceUris") or [])
    metadata = string_literal(str(definition["objectMetadata"]))
    return (
        f"CREATE EXTERNAL TABLE {name.sql} WITH CONNECTION `{connection}` "
        f"OPTIONS (object_metadata = {metadata}, uris = [{uris}])"
    )
