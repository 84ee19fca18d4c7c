"""The SQL of an import. Names are checked by the callers; texts are quoted here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.checks.identifiers import ModelName, column_sql, string_literal
from shared.drops.manifest import Manifest


def create_model(model: ModelName, model_type: str, uri: str, manifest: Manifest) -> str:
    """Return the statement that imports the files at ``uri``, or creates the remote model of the manifest.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow and the pages
    of the other types. Version aliases can be given only here, with the registry's other options, which are on the page of
    all types and not on the types' own pages. Without aliases, ``alter_model`` registers the model.
    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
    """
    if manifest.remote is not None:
        options = {"ENDPOINT": string_literal(manifest.remote.endpoint)}
        connection = manifest.remote.connection_sql
        return f"CREATE OR REPLACE MODEL {model.sql}\nREMOTE WITH CONNECTION {connection}\nOPTIONS ({_assignments(options)})"
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
    """Return the statement that sets the options of an imported model that its manifest has; None if it has none.

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


def _typed(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{column_sql(name)} {kind}" for name, kind in columns)


def _assignments(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in options.items())
