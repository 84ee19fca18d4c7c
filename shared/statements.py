"""Every SQL statement that Modeldrop generates. Names come in checked, texts are quoted here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.batch_request import Prompts
from shared.identifiers import ModelName, TableName, check_column, column_sql, string_literal
from shared.manifest import Manifest
from shared.predict_request import PredictRequest


def create_model(model: ModelName, model_type: str, uri: str, manifest: Manifest) -> str:
    """Return the statement that imports the files at ``uri``.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow and the pages
    of the other types. Version aliases can only be given here, with the registry's other options, which the page of all
    types lists and the types' own pages do not: without aliases the registry is left to ``alter_model``.
    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
    """
    options = {"MODEL_TYPE": string_literal(model_type), "MODEL_PATH": string_literal(uri)}
    if manifest.kms_key:
        options["KMS_KEY_NAME"] = string_literal(manifest.kms_key)
    if manifest.registry_id and manifest.registry_aliases:
        options["MODEL_REGISTRY"] = string_literal("VERTEX_AI")
        options["VERTEX_AI_MODEL_ID"] = string_literal(manifest.registry_id)
        aliases = ", ".join(map(string_literal, manifest.registry_aliases))
        options["VERTEX_AI_MODEL_VERSION_ALIASES"] = f"[{aliases}]"
    clauses = [f"CREATE OR REPLACE MODEL {model.sql}"]
    if manifest.inputs:
        clauses.append(f"INPUT ({_typed(manifest.inputs)})")
        clauses.append(f"OUTPUT ({_typed(manifest.outputs)})")
    clauses.append(f"OPTIONS ({_assignments(options)})")
    return "\n".join(clauses)


def alter_model(model: ModelName, manifest: Manifest, now: datetime) -> str | None:
    """Return the statement that gives an imported model what its manifest says beyond its files; None if nothing.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-alter-model
    """
    options: dict[str, str] = {}
    if manifest.description is not None:
        options["description"] = string_literal(manifest.description)
    if manifest.labels:
        pairs = (f"({string_literal(name)}, {string_literal(value)})" for name, value in manifest.labels)
        options["labels"] = f"[{', '.join(pairs)}]"
    if manifest.expires_after is not None:
        options["expiration_timestamp"] = f"TIMESTAMP {string_literal((now + manifest.expires_after).isoformat())}"
    if manifest.registry_id is not None and not manifest.registry_aliases:
        options["vertex_ai_model_id"] = string_literal(manifest.registry_id)
    return f"ALTER MODEL {model.sql}\nSET OPTIONS ({_assignments(options)})" if options else None


def input_query(request: PredictRequest) -> str:
    """Return the query whose rows a predict message asks to have predicted."""
    if request.table is None:
        return str(request.query)
    columns = request.table.columns
    chosen = ", ".join(f"{column_sql(column)} AS {column_sql(name)}" for name, column in columns) if columns else "*"
    where = f"\nWHERE (\n{request.table.where}\n)" if request.table.where else ""
    return f"SELECT {chosen}\nFROM {request.table.table.sql}{where}"


def predict(request: PredictRequest) -> str:
    """Return the query that gives a message's predictions.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
    """
    # The input stands on lines of its own, since it may end in a comment.
    arguments = [f"MODEL {request.model.sql}", f"(\n{input_query(request)}\n)"]
    if request.options:
        values = ", ".join(f"{_value(value)} AS {column_sql(check_column(name))}" for name, value in request.options)
        arguments.append(f"STRUCT({values})")
    return f"SELECT *\nFROM {request.function}({', '.join(arguments)})"


def count_rows(request: PredictRequest) -> str:
    """Return the query that fails if a message's input has more rows than it allows."""
    most = int(request.maximum_rows or 0)
    told = f"CONCAT('the input has ', CAST(COUNT(*) AS STRING), ' rows, more than max_rows ({most})')"
    return f"SELECT IF(COUNT(*) > {most}, ERROR({told}), COUNT(*)) AS row_count\nFROM (\n{input_query(request)}\n)"


def create_output(table: TableName, columns: Sequence[Mapping[str, Any]]) -> str:
    """Return the statement that makes the table that a merge writes to, if it is not there."""
    listed = ",\n  ".join(f"{column_sql(column['name'])} {_column_type(column)}" for column in columns)
    return f"CREATE TABLE IF NOT EXISTS {table.sql} (\n  {listed}\n)"


def merge(request: PredictRequest, columns: Sequence[str]) -> str:
    """Return the statement that writes predictions by key: each row replaces the one that has its key.

    A key that is NULL or comes twice fails the whole statement with the key's name, so that it never depends on chance
    which row stays. https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
    """
    keys = [column_sql(column) for column in request.key]
    named = ", ".join(request.key)
    partition = ", ".join(keys)
    missing = " OR ".join(f"{key} IS NULL" for key in keys)
    checks = (
        f"IF({missing}, ERROR({string_literal(f'a row of the predictions has NULL in its key ({named})')}), TRUE)"
        f"\n    AND IF(modeldrop_repeats > 1, "
        f"ERROR({string_literal(f'several rows of the predictions have the same key ({named})')}), TRUE)"
    )
    listed = ", ".join(column_sql(column) for column in columns)
    updates = ", ".join(
        f"{column_sql(column)} = source.{column_sql(column)}" for column in columns if column not in request.key
    )
    matched = f"WHEN MATCHED THEN UPDATE SET {updates}\n" if updates else ""
    values = ", ".join(f"source.{column_sql(column)}" for column in columns)
    on = " AND ".join(f"target.{key} = source.{key}" for key in keys)
    return (
        f"MERGE {request.output.sql} AS target\n"
        f"USING (\n"
        f"  SELECT {listed}\n"
        f"  FROM (\n"
        f"    SELECT *, COUNT(*) OVER (PARTITION BY {partition}) AS modeldrop_repeats\n"
        f"    FROM (\n{predict(request)}\n)\n"
        f"  )\n"
        f"  WHERE {checks}\n"
        f") AS source\n"
        f"ON {on}\n"
        f"{matched}"
        f"WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({values})"
    )


def batch_requests(prompts: Prompts, columns: Sequence[str]) -> str:
    """Return the query that makes Gemini requests out of prompts.

    Every column of the query stays beside its request, and comes back beside the answer.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    """
    # Built with JSON_OBJECT, whose keys are texts: Gemini's field names must keep their case.
    part = "JSON_OBJECT('text', CAST(prompt AS STRING))"
    fields = [f"'contents', [JSON_OBJECT('role', 'user', 'parts', [{part}])]"]
    if prompts.system_instruction is not None:
        instruction = json.dumps({"parts": [{"text": prompts.system_instruction}]})
        fields.append(f"'systemInstruction', PARSE_JSON({string_literal(instruction)})")
    if prompts.generation_config is not None:
        fields.append(f"'generationConfig', PARSE_JSON({string_literal(prompts.generation_config)})")
    kept = "".join(f"{column_sql(column)}, " for column in columns if column != "prompt")
    request = f"TO_JSON_STRING(JSON_OBJECT({', '.join(fields)})) AS request"
    return f"SELECT {kept}{request}\nFROM (\n{prompts.query}\n)"


def _typed(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{column_sql(name)} {kind}" for name, kind in columns)


def _assignments(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in options.items())


def _column_type(field: Mapping[str, Any]) -> str:
    names = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
    kind = names.get(field["type"], field["type"])
    if kind in {"RECORD", "STRUCT"}:
        inner = ", ".join(f"{column_sql(each['name'])} {_column_type(each)}" for each in field.get("fields", ()))
        kind = f"STRUCT<{inner}>"
    return f"ARRAY<{kind}>" if field.get("mode") == "REPEATED" else kind


def _value(value: Any) -> str:
    """Return a value of a message's options as SQL."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            return repr(value)
        case str():
            return string_literal(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"JSON {string_literal(json.dumps(value, sort_keys=True))}"
        case _:
            return "NULL"
