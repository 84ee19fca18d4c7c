"""The definitions of external tables over files, as REST resources and as the options of a load of their files.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#ExternalDataConfiguration
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.request_fields import check_columns, check_request
from localcloud.bigquery.tables.files.loading import FORMATS

# The fields of a load job that an external table has within the options of its format.
_OF_CSV = (
    "allowJaggedRows",
    "allowQuotedNewlines",
    "encoding",
    "fieldDelimiter",
    "nullMarker",
    "nullMarkers",
    "preserveAsciiControlCharacters",
    "quote",
    "skipLeadingRows",
    "sourceColumnMatch",
)
_WITHIN: dict[str, tuple[str, ...]] = {
    "csvOptions": _OF_CSV,
    "jsonOptions": ("encoding",),
    "avroOptions": ("useAvroLogicalTypes",),
}
_OPTIONS_OF = {"CSV": "csvOptions", "NEWLINE_DELIMITED_JSON": "jsonOptions", "AVRO": "avroOptions"}


def check_definition(definition: Mapping[str, Any]) -> None:
    """Raise ``QueryError`` if a field of the definition of an external table over files is missing or not valid."""
    check_request("ExternalDataConfiguration", definition, "externalDataConfiguration")
    if not definition.get("sourceUris"):
        raise QueryError("Required parameter is missing: externalDataConfiguration.sourceUris", reason="required")
    if str(definition.get("sourceFormat") or "").upper() not in FORMATS:
        raise QueryError(
            f"External tables with the sourceFormat {definition.get('sourceFormat')} are not supported by the local "
            f"BigQuery, which has {', '.join(FORMATS)} and object tables.",
            reason="notImplemented",
        )
    if definition.get("connectionId"):
        raise QueryError(
            "External table over files: connectionId is not supported by the local BigQuery.", reason="notImplemented"
        )
    check_columns((definition.get("schema") or {}).get("fields") or [])


def load_options(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the REST ``JobConfigurationLoad`` that loads the files of an external table."""
    options = {key: value for key, value in definition.items() if key not in _WITHIN}
    within = _OPTIONS_OF.get(str(definition.get("sourceFormat") or "CSV").upper())
    options |= definition.get(within, {}) if within is not None else {}
    if not (options.get("schema") or {}).get("fields"):
        options |= {"schema": None, "autodetect": True}
    return options


def definition_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``ExternalDataConfiguration`` with the options of a load of its files."""
    within = _OPTIONS_OF.get(str(options.get("sourceFormat") or "CSV").upper())
    names = _WITHIN.get(within or "", ())
    of_formats = {name for each in _WITHIN.values() for name in each}
    definition = {key: value for key, value in options.items() if key not in of_formats}
    inner = {key: value for key, value in options.items() if key in names}
    if "skipLeadingRows" in inner:
        inner["skipLeadingRows"] = str(inner["skipLeadingRows"])  # an int64 in the API
    return definition | ({within: inner} if within is not None and inner else {})
