"""Carries out CREATE SCHEMA and ALTER SCHEMA with their options, and says what is missing in DROP SCHEMA.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_schema_statement
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import DatasetMeta
from sqlglot import exp

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.job.jobs import canonical_location
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.queries.definitions.table_options import labels_of, value_of_option
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.tokens import Cursor

_MAY_CONCERN = re.compile(r"\s*(?:CREATE|ALTER|DROP)\s+SCHEMA\b", re.IGNORECASE)
_DAY_MS = 24 * 60 * 60 * 1000
_TEXTS = {"DESCRIPTION": "description", "FRIENDLY_NAME": "friendly_name"}
_DAYS = {
    "DEFAULT_TABLE_EXPIRATION_DAYS": "default_table_expiration_ms",
    "DEFAULT_PARTITION_EXPIRATION_DAYS": "default_partition_expiration_ms",
}
# Options with the values that change nothing here; any value of those with None.
_NOTHING: dict[str, tuple[OptionValue, ...] | None] = {
    "DEFAULT_KMS_KEY_NAME": None,
    "DEFAULT_ROUNDING_MODE": ("ROUND_HALF_AWAY_FROM_ZERO", "ROUNDING_MODE_UNSPECIFIED", None),
    "IS_CASE_INSENSITIVE": (False, None),
    "MAX_TIME_TRAVEL_HOURS": None,
    "STORAGE_BILLING_MODEL": None,
    "TAGS": None,
}


@dataclass(frozen=True)
class SchemaStatement:
    """A statement about a dataset.

    Attributes:
        verb: ``CREATE``, ``ALTER`` or ``DROP``.
        project: The project of the dataset.
        dataset: The id of the dataset.
        guarded: Whether the statement has IF EXISTS or IF NOT EXISTS.
        options: The options.
    """

    verb: str
    project: str
    dataset: str
    guarded: bool
    options: dict[str, OptionValue] = field(default_factory=dict)

    def statistics(self, operation: str) -> dict[str, Any]:
        """Return the ``statistics.query`` of the statement."""
        return {
            "statementType": f"{self.verb}_SCHEMA",
            "ddlOperationPerformed": operation,
            "ddlTargetDataset": {"projectId": self.project, "datasetId": self.dataset},
        }


def schema_statement(sql: str, statements: Statements) -> SchemaStatement | None:
    """Return a statement about a dataset, or None for any other statement. Raises ``QueryError`` if it is not valid."""
    if _MAY_CONCERN.match(sql) is None:
        return None
    cursor = Cursor(sql)
    verb = cursor.take().text.upper()
    cursor.take()
    guarded = cursor.take_words("IF", "NOT", "EXISTS") if verb == "CREATE" else cursor.take_words("IF", "EXISTS")
    parts, _ = cursor.take_path()
    project = ".".join(parts[:-1]) or statements.project
    if verb == "DROP":
        return SchemaStatement(verb, project, parts[-1], guarded)
    if verb == "ALTER":
        cursor.expect_word("SET")
    if cursor.take_words("DEFAULT"):
        raise QueryError(
            "DEFAULT COLLATE is not supported by the local BigQuery", reason="notImplemented", location="query"
        )
    if verb == "ALTER":
        cursor.expect_word("OPTIONS")
    options = take_options(cursor) if verb == "ALTER" or cursor.take_words("OPTIONS") else {}
    cursor.expect_end()
    return SchemaStatement(verb, project, parts[-1], guarded, options)


def run_schema_statement(statement: SchemaStatement, statements: Statements) -> dict[str, Any] | None:
    """Carry out CREATE or ALTER SCHEMA and return its statistics; check DROP SCHEMA and return None.

    Raises:
        NotFound: The dataset does not exist.
        QueryError: The dataset exists already, or an option is not valid.
    """
    catalog = statements.context.catalog
    existing = catalog.get_dataset(statement.project, statement.dataset)
    if statement.verb == "CREATE":
        if existing is not None and not statement.guarded:
            raise QueryError(f"Already Exists: Dataset {statement.project}:{statement.dataset}", reason="duplicate")
        if existing is None:
            _create(statement, statements)
        return statement.statistics("CREATE" if existing is None else "SKIP")
    if existing is None and not statement.guarded:
        name = f"{statement.project}:{statement.dataset}"
        raise NotFound(f"Not found: Dataset {name} was not found in location {statements.location}")
    if statement.verb == "DROP":
        return None
    if existing is not None:
        now = statements.context.clock.now()
        changes = _changes(statement.options, statements) | {
            "last_modified_time": now,
            "etag": generate_etag(statement.project, statement.dataset, str(now)),
        }
        catalog.update_dataset(existing.model_copy(update=changes))
    return statement.statistics("ALTER" if existing is not None else "SKIP")


def _create(statement: SchemaStatement, statements: Statements) -> None:
    now = statements.context.clock.now()
    options = dict(statement.options)
    location = options.pop("LOCATION", None)
    entry = DatasetMeta(
        project_id=statement.project,
        dataset_id=statement.dataset,
        location=canonical_location(str(location)) if location else statements.location,
        creation_time=now,
        last_modified_time=now,
        etag=generate_etag(statement.project, statement.dataset, str(now)),
    ).model_copy(update=_changes(options, statements))
    # The engine and the catalog learn of the dataset as from any other CREATE SCHEMA.
    statements.run(f"CREATE SCHEMA `{statement.project}`.`{statement.dataset}`")
    statements.context.catalog.update_dataset(entry)


def _changes(options: dict[str, OptionValue], statements: Statements) -> dict[str, Any]:
    """Return the fields of a dataset's entry for options. Raises ``QueryError`` if one is not valid, or not supported."""
    changes: dict[str, Any] = {}
    for name, given in options.items():
        value = value_of_option(given, statements)
        if name in _TEXTS:
            if value is not None and not isinstance(value, str):
                raise QueryError(f"Option {name.lower()} must be a STRING.", location="query")
            changes[_TEXTS[name]] = value
        elif name in _DAYS:
            if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, type(None))):
                raise QueryError(f"Option {name.lower()} must be a number of days.", location="query")
            changes[_DAYS[name]] = None if value is None else int(value * _DAY_MS)
        elif name == "LABELS":
            changes["labels"] = labels_of(value)
        elif name not in _NOTHING:
            raise QueryError(f"Unknown option: {name.lower()}", location="query")
        elif (accepted := _NOTHING[name]) is not None and value not in accepted:
            raise QueryError(
                f"Option {name.lower()} is not supported by the local BigQuery.",
                reason="notImplemented",
                location="query",
            )
    return changes


def models_dropped(statement: Statement, statements: Statements) -> list[dict[str, str]]:
    """Return the models in the dataset of a DROP SCHEMA; none for any other statement.

    Raises:
        QueryError: There are models and the statement has no CASCADE, or a model is deployed.
    """
    drop = statement.tree
    if statement.kind != "DROP_SCHEMA" or not isinstance(drop, exp.Drop) or not isinstance(drop.this, exp.Table):
        return []
    owner, dataset = drop.this.catalog or statements.project, drop.this.db or drop.this.name
    known = statements.learning.models
    models = [model["modelReference"] for model in known.list(owner, dataset)]
    if models and not drop.args.get("cascade"):
        raise QueryError(f"Dataset {owner}:{dataset} is still in use", reason="resourceInUse")
    known.check_not_deployed(owner, dataset)
    return models
