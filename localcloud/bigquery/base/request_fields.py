"""Which fields of requests the local BigQuery carries out, by the schemas in Google's API description.

Every field of these schemas that a caller can set is in one of three groups: carried out, without effect, or refused.
docs/bigquery.md lists the last two for users, and tests compare the tables with the description and with the page.
https://cloud.google.com/bigquery/docs/reference/rest
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.apis.discovery import Discovery
from localcloud.bigquery.base.discovery import property_names
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.request_values import check_parameter, check_values

_ENCRYPTED = "nothing is encrypted"
_LEGACY = "it belongs to legacy SQL"
_ROUNDING = ("ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO")


@dataclass(frozen=True)
class RequestFields:
    """The fields of one schema."""

    title: str
    """What the schema describes, as errors and the documentation call it."""
    carried_out: frozenset[str]
    without_effect: Mapping[str, str] = field(default_factory=dict)
    """Fields that are accepted and have no effect, and why."""
    refused: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Fields that are refused, each with the values that change nothing. An empty value, such as false, never does."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _refused(text: str) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(text.split(), ())


REQUEST_FIELDS: Mapping[str, RequestFields] = {
    "Job": RequestFields("job", _names("configuration jobReference")),
    "JobConfiguration": RequestFields(
        "job configuration",
        _names("copy dryRun extract jobTimeoutMs labels load query"),
        {"maxSlots": "jobs use no slots", "reservation": "reservations are only listed"},
    ),
    "JobConfigurationQuery": RequestFields(
        "query job",
        _names(
            "clustering connectionProperties createDisposition createSession defaultDataset destinationTable"
            " maximumBytesBilled priority query queryParameters rangePartitioning schemaUpdateOptions tableDefinitions"
            " timePartitioning useLegacySql writeDisposition"
        ),
        {
            "allowLargeResults": _LEGACY,
            "destinationEncryptionConfiguration": _ENCRYPTED,
            "flattenResults": _LEGACY,
            "maximumBillingTier": "there are no billing tiers",
            "parameterMode": "parameters with names are named",
            "preserveNulls": "BigQuery does not use it either",
            "useQueryCache": "no query is answered from a cache",
            "writeIncrementalResults": "BigQuery does not use it yet",
        },
        _refused("continuous scriptOptions secureContext userDefinedFunctionResources"),
    ),
    "JobConfigurationLoad": RequestFields(
        "load job",
        _names(
            "allowJaggedRows allowQuotedNewlines autodetect clustering columnNameCharacterMap createDisposition dateFormat"
            " datetimeFormat decimalTargetTypes destinationTable encoding fieldDelimiter ignoreUnknownValues maxBadRecords"
            " nullMarker nullMarkers parquetOptions preserveAsciiControlCharacters quote rangePartitioning schema"
            " schemaUpdateOptions skipLeadingRows sourceColumnMatch sourceFormat sourceUris timeFormat timePartitioning"
            " timeZone timestampFormat useAvroLogicalTypes writeDisposition"
        ),
        {"destinationEncryptionConfiguration": _ENCRYPTED},
        _refused(
            "connectionProperties copyFilesOnly createSession destinationTableProperties hivePartitioningOptions jsonExtension"
            " projectionFields referenceFileSchemaUri schemaInline schemaInlineFormat"
        )
        | {"fileSetSpecType": ("FILE_SET_SPEC_TYPE_FILE_SYSTEM_MATCH",), "timestampTargetPrecision": ([6],)},
    ),
    "ParquetOptions": RequestFields(
        "parquetOptions",
        _names("mapTargetType"),
        {"enableListInference": "lists are always inferred"},
        _refused("enumAsString"),
    ),
    "JobConfigurationExtract": RequestFields(
        "extract job",
        _names(
            "compression destinationFormat destinationUri destinationUris fieldDelimiter printHeader sourceModel sourceTable"
        ),
        {"useAvroLogicalTypes": "logical types of Avro are always used"},
        _refused("modelExtractOptions nativeGeographyExportEnabled secureContext"),
    ),
    "JobConfigurationTableCopy": RequestFields(
        "copy job",
        _names(
            "createDisposition destinationExpirationTime destinationTable operationType sourceTable sourceTables"
            " writeDisposition"
        ),
        {"destinationEncryptionConfiguration": _ENCRYPTED},
    ),
    "QueryRequest": RequestFields(
        "jobs.query",
        _names(
            "connectionProperties createSession defaultDataset dryRun formatOptions jobCreationMode jobTimeoutMs labels"
            " location maxResults maximumBytesBilled query queryParameters requestId timeoutMs useLegacySql"
        ),
        {
            "destinationEncryptionConfiguration": _ENCRYPTED,
            "kind": "the service sets it",
            "maxSlots": "jobs use no slots",
            "parameterMode": "parameters with names are named",
            "preserveNulls": "BigQuery does not use it either",
            "reservation": "reservations are only listed",
            "useQueryCache": "no query is answered from a cache",
            "writeIncrementalResults": "BigQuery does not use it yet",
        },
        _refused("arrowSerializationOptions continuous secureContext")
        | {"queryResultsFormat": ("QUERY_RESULTS_FORMAT_UNSPECIFIED", "STRUCT_ENCODING")},
    ),
    "DataFormatOptions": RequestFields(
        "formatOptions",
        _names("useInt64Timestamp"),
        {},
        {"timestampOutputFormat": ("TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED", "FLOAT64")},
    ),
    "Dataset": RequestFields(
        "dataset",
        _names("datasetReference defaultTableExpirationMs description friendlyName labels location"),
        {
            "access": "it is kept and shown, and no permissions are checked",
            "defaultEncryptionConfiguration": _ENCRYPTED,
            "defaultPartitionExpirationMs": "it is kept and shown, and partitions do not expire",
            "maxTimeTravelHours": "the time is always 168 hours",
            "storageBillingModel": "nobody is billed",
        },
        _refused(
            "externalCatalogDatasetOptions externalDatasetReference isCaseInsensitive linkedDatasetSource resourceTags"
        )
        | {"defaultCollation": (), "defaultRoundingMode": _ROUNDING},
    ),
    "Table": RequestFields(
        "table",
        _names(
            "clustering description expirationTime externalDataConfiguration friendlyName labels materializedView"
            " rangePartitioning requirePartitionFilter schema tableConstraints tableReference timePartitioning view"
        ),
        {"encryptionConfiguration": _ENCRYPTED, "kind": "the service sets it", "maxStaleness": "there is no cache"},
        _refused(
            "biglakeConfiguration defaultCollation externalCatalogTableOptions model partitionDefinition"
            " resourceTags tableReplicationInfo"
        )
        | {"defaultRoundingMode": _ROUNDING, "managedTableType": ("MANAGED_TABLE_TYPE_UNSPECIFIED", "NATIVE")},
    ),
    "TableFieldSchema": RequestFields(
        "column",
        _names("defaultValueExpression description fields maxLength mode name precision rangeElementType scale type"),
        {"categories": "BigQuery does not use it any more"},
        _refused("collation dataGovernanceTagsInfo dataPolicies dataPolicyList foreignTypeDefinition generatedColumn")
        | {"policyTags": ({"names": []},), "roundingMode": _ROUNDING, "timestampPrecision": ("6",)},
    ),
    "ViewDefinition": RequestFields(
        "view",
        _names("query"),
        {"useExplicitColumnNames": "the query has the names"},
        _refused("foreignDefinitions privacyPolicy useLegacySql userDefinedFunctionResources"),
    ),
    "MaterializedViewDefinition": RequestFields(
        "materialized view",
        _names("query"),
        dict.fromkeys(("enableRefresh", "refreshIntervalMs"), "its rows are always current"),
        _refused("allowNonIncrementalDefinition maxStaleness"),
    ),
    "ExternalDataConfiguration": RequestFields(
        "external table",
        _names(
            "autodetect avroOptions connectionId csvOptions dateFormat datetimeFormat decimalTargetTypes"
            " ignoreUnknownValues jsonOptions maxBadRecords objectMetadata parquetOptions schema sourceFormat sourceUris"
            " timeFormat timeZone timestampFormat"
        ),
        {"compression": "the files say whether they are compressed", "metadataCacheMode": "there is no cache"},
        _refused("bigtableOptions googleSheetsOptions hivePartitioningOptions jsonExtension referenceFileSchemaUri")
        | {"fileSetSpecType": ("FILE_SET_SPEC_TYPE_FILE_SYSTEM_MATCH",), "timestampTargetPrecision": ([6],)},
    ),
    "CsvOptions": RequestFields(
        "external table's csvOptions",
        _names(
            "allowJaggedRows allowQuotedNewlines encoding fieldDelimiter nullMarker nullMarkers"
            " preserveAsciiControlCharacters quote skipLeadingRows sourceColumnMatch"
        ),
    ),
    "JsonOptions": RequestFields("external table's jsonOptions", _names("encoding")),
    "AvroOptions": RequestFields("external table's avroOptions", _names("useAvroLogicalTypes")),
    "TableDataInsertAllRequest": RequestFields(
        "tabledata.insertAll",
        _names("ignoreUnknownValues rows skipInvalidRows templateSuffix"),
        {"kind": "the service sets it", "traceId": "there are no traces"},
    ),
}
"""The fields that a caller can set, by the name of the schema."""

WITHIN: Mapping[str, Mapping[str, str]] = {
    "Job": {"configuration": "JobConfiguration"},
    "JobConfiguration": {
        "query": "JobConfigurationQuery",
        "load": "JobConfigurationLoad",
        "extract": "JobConfigurationExtract",
        "copy": "JobConfigurationTableCopy",
    },
    "JobConfigurationLoad": {"parquetOptions": "ParquetOptions"},
    "ExternalDataConfiguration": {
        "avroOptions": "AvroOptions",
        "csvOptions": "CsvOptions",
        "jsonOptions": "JsonOptions",
        "parquetOptions": "ParquetOptions",
    },
    "QueryRequest": {"formatOptions": "DataFormatOptions"},
    "Table": {
        "externalDataConfiguration": "ExternalDataConfiguration",
        "materializedView": "MaterializedViewDefinition",
        "view": "ViewDefinition",
    },
}
"""The fields that are checked too, and their schemas."""


_DISCOVERY = Discovery()

PARAMETERS_WITHOUT_EFFECT: Mapping[str, str] = {
    "$.xgafv": "errors have one form",
    "access_token": "it is read from the header only",
    "accessPolicyVersion": "policies have no conditions",
    "callback": "answers are JSON only",
    "datasetView": "all fields are shown",
    "force": "policies have no dependents",
    "key": "calls need no key",
    "oauth_token": "calls need no token",
    "prettyPrint": "answers are not indented",
    "quotaUser": "calls are not counted, so they cannot exceed a quota",
    "readMask": "all fields are shown",
    "updateMode": "all given fields are changed",
    "upload_protocol": "the path says whether a call uploads",
    "view": "all fields are shown",
}
"""The parameters of the query string that are accepted and have no effect, and why."""

REFUSED_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "autodetect_schema": ("false",),
    "formatOptions.timestampOutputFormat": ("TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED", "FLOAT64"),
}
"""The parameters that are refused, each with the values that change nothing."""


def check_parameters(verb: str, path: str, parameters: Mapping[str, str]) -> None:
    """Reject a call whose query string has a parameter that is not carried out, or that its method does not have.

    Raises:
        QueryError: ``notImplemented`` for a parameter that is not carried out, ``badRequest`` for an unknown one.
    """
    for name, harmless in REFUSED_PARAMETERS.items():
        value = parameters.get(name)
        if value and value not in harmless:
            raise QueryError(f"Parameter {name} is not supported by the local BigQuery.", reason="notImplemented")
    called = _DISCOVERY.find("bigquery", verb, path) if parameters else None
    for name, value in parameters.items():
        if called is None:
            continue
        described = called.parameter(name)
        if described is not None:
            check_parameter(name, value, described)
        else:
            raise QueryError(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message.",
                reason="badRequest",
            )


def check_request(schema: str, body: Mapping[str, Any], path: str = "") -> None:
    """Reject a request that has a field which is not carried out, or which no request has, or a value of another type.

    Args:
        schema: The name of the body's schema.
        body: The body, with the field names of the schema.
        path: The path of the body within the request, for error messages.

    Raises:
        QueryError: ``notImplemented`` for a field that is not carried out, ``badRequest`` for an unknown one, ``invalid`` for
            a value.
    """
    fields = REQUEST_FIELDS[schema]
    for name, value in body.items():
        if value is not None and name not in fields.carried_out:
            _check_field(schema, fields, name, value, path)
    check_values(schema, {name: value for name, value in body.items() if name not in fields.refused})
    for name, inner in WITHIN.get(schema, {}).items():
        value = body.get(name)
        if isinstance(value, Mapping):
            check_request(inner, value, f"{path}.{name}".lstrip("."))


def check_columns(columns: Any) -> None:
    """Reject columns, or columns within them, that have a field which is not carried out. Raises ``QueryError``."""
    for column in columns or ():
        check_request("TableFieldSchema", column, f"column {column.get('name')}")
        check_columns(column.get("fields"))


def _check_field(schema: str, fields: RequestFields, name: str, value: Any, path: str) -> None:
    if name in fields.refused:
        if value and value not in fields.refused[name]:
            what = path if schema == "TableFieldSchema" else fields.title
            raise QueryError(
                f"{what[0].upper()}{what[1:]}: {name} is not supported by the local BigQuery.", reason="notImplemented"
            )
    elif name not in property_names(schema):
        where = f" at '{path}'" if path else ""
        raise QueryError(
            f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.', reason="badRequest"
        )
