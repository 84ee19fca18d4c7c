"""The columns of the views, in the order of BigQuery's documentation.

https://cloud.google.com/bigquery/docs/information-schema-intro
"""

from __future__ import annotations

import pyarrow as pa

TEXT, NUMBER, BOOL, TIME = pa.string(), pa.int64(), pa.bool_(), pa.timestamp("us", "UTC")
_TABLE = pa.struct({"project_id": TEXT, "dataset_id": TEXT, "table_id": TEXT})
_OPTION = {"option_name": TEXT, "option_type": TEXT, "option_value": TEXT}
_NAMES = {"table_catalog": TEXT, "table_schema": TEXT, "table_name": TEXT}
_CONSTRAINT = {"constraint_catalog": TEXT, "constraint_schema": TEXT, "constraint_name": TEXT}
_JOBS = {
    "creation_time": TIME,
    "project_id": TEXT,
    "project_number": NUMBER,
    "user_email": TEXT,
    "job_id": TEXT,
    "job_type": TEXT,
    "statement_type": TEXT,
    "priority": TEXT,
    "start_time": TIME,
    "end_time": TIME,
    "query": TEXT,
    "state": TEXT,
    "reservation_id": TEXT,
    "total_bytes_processed": NUMBER,
    "total_slot_ms": NUMBER,
    "error_result": pa.struct({"reason": TEXT, "location": TEXT, "debug_info": TEXT, "message": TEXT}),
    "cache_hit": BOOL,
    "destination_table": _TABLE,
    "referenced_tables": pa.list_(_TABLE),
    "labels": pa.list_(pa.struct({"key": TEXT, "value": TEXT})),
    "total_bytes_billed": NUMBER,
    "parent_job_id": TEXT,
    "session_info": pa.struct({"session_id": TEXT}),
    "dml_statistics": pa.struct(
        {"inserted_row_count": NUMBER, "deleted_row_count": NUMBER, "updated_row_count": NUMBER}
    ),
}
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "COLUMNS": _NAMES
    | {"column_name": TEXT, "ordinal_position": NUMBER, "is_nullable": TEXT, "data_type": TEXT, "is_generated": TEXT}
    | {"generation_expression": TEXT, "is_stored": TEXT, "is_hidden": TEXT, "is_updatable": TEXT}
    | {"is_system_defined": TEXT, "is_partitioning_column": TEXT, "clustering_ordinal_position": NUMBER}
    | {"collation_name": TEXT, "column_default": TEXT, "rounding_mode": TEXT},
    "COLUMN_FIELD_PATHS": _NAMES
    | {"column_name": TEXT, "field_path": TEXT, "data_type": TEXT, "description": TEXT, "collation_name": TEXT}
    | {"rounding_mode": TEXT},
    "CONSTRAINT_COLUMN_USAGE": _NAMES | {"column_name": TEXT} | _CONSTRAINT,
    "JOBS": _JOBS,
    "JOBS_BY_PROJECT": _JOBS,
    "JOBS_BY_USER": _JOBS,
    "KEY_COLUMN_USAGE": _CONSTRAINT
    | _NAMES
    | {"column_name": TEXT, "ordinal_position": NUMBER, "position_in_unique_constraint": NUMBER},
    "MATERIALIZED_VIEWS": _NAMES | {"last_refresh_time": TIME, "refresh_watermark": TIME},
    "PARAMETERS": {
        "specific_catalog": TEXT,
        "specific_schema": TEXT,
        "specific_name": TEXT,
        "ordinal_position": NUMBER,
        "parameter_mode": TEXT,
        "is_result": TEXT,
        "parameter_name": TEXT,
        "data_type": TEXT,
        "parameter_default": TEXT,
        "is_aggregate": TEXT,
    },
    "PARTITIONS": _NAMES
    | {"partition_id": TEXT, "total_rows": NUMBER, "total_logical_bytes": NUMBER, "last_modified_time": TIME}
    | {"storage_tier": TEXT},
    "ROUTINE_OPTIONS": {"specific_catalog": TEXT, "specific_schema": TEXT, "specific_name": TEXT} | _OPTION,
    "SCHEMATA_OPTIONS": {"catalog_name": TEXT, "schema_name": TEXT} | _OPTION,
    "TABLES": _NAMES
    | {"table_type": TEXT, "is_insertable_into": TEXT, "is_fine_grained_mutations_enabled": TEXT, "is_typed": TEXT}
    | {"is_change_history_enabled": TEXT, "creation_time": TIME, "base_table_catalog": TEXT, "base_table_schema": TEXT}
    | {"base_table_name": TEXT, "snapshot_time_ms": TIME, "ddl": TEXT, "default_collation_name": TEXT},
    "TABLE_CONSTRAINTS": _CONSTRAINT
    | _NAMES
    | {"constraint_type": TEXT, "is_deferrable": TEXT, "initially_deferred": TEXT, "enforced": TEXT},
    "TABLE_OPTIONS": _NAMES | _OPTION,
    "TABLE_STORAGE": {
        "project_id": TEXT,
        "project_number": NUMBER,
        "table_catalog": TEXT,
        "table_schema": TEXT,
        "table_name": TEXT,
        "creation_time": TIME,
        "total_rows": NUMBER,
        "total_partitions": NUMBER,
        "total_logical_bytes": NUMBER,
        "active_logical_bytes": NUMBER,
        "long_term_logical_bytes": NUMBER,
        "storage_last_modified_time": TIME,
        "deleted": BOOL,
        "table_type": TEXT,
    },
    "VIEWS": _NAMES | {"view_definition": TEXT, "check_option": TEXT, "use_standard_sql": TEXT},
    "__TABLES__": {
        "project_id": TEXT,
        "dataset_id": TEXT,
        "table_id": TEXT,
        "creation_time": NUMBER,
        "last_modified_time": NUMBER,
        "row_count": NUMBER,
        "size_bytes": NUMBER,
        "type": NUMBER,
    },
    "__TABLES_SUMMARY__": {
        "project_id": TEXT,
        "dataset_id": TEXT,
        "table_id": TEXT,
        "creation_time": NUMBER,
        "type": NUMBER,
    },
}
"""The types of the columns by the names of the views. Columns about what is not kept here are left out."""
OF_JOBS = frozenset({"JOBS", "JOBS_BY_PROJECT", "JOBS_BY_USER"})
OF_PROJECTS = OF_JOBS | {"SCHEMATA_OPTIONS", "TABLE_STORAGE"}
SCHEMA_VIEWS = frozenset(name for name in COLUMNS if not name.startswith("__"))
