"""The predict message, checked as far as it can be without calling a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.checks.access import check_writable
from shared.checks.fields import Fields
from shared.checks.identifiers import (
    ModelName,
    TableName,
    check_column,
    check_parameter,
)
from shared.checks.labels import read_labels, read_request_id
from shared.checks.query_guard import (
    LONGEST_QUERY,
    check_condition,
    check_query,
)
from shared.messages.chosen_columns import ChosenColumns
from shared.settings import Settings

WRITES = ("empty", "truncate", "append", "merge")
PRIORITIES = ("interactive", "batch")
# The table functions that a message may name. All but ML.PREDICT call a model of another service for every row.
FUNCTIONS = (
    "ML.PREDICT",
    "ML.GENERATE_TEXT",
    "AI.GENERATE_TEXT",
    "AI.GENERATE_TABLE",
    "ML.GENERATE_EMBEDDING",
    "AI.GENERATE_EMBEDDING",
)


_INPUT_EXAMPLE = '{"query": "SELECT ..."} or {"table": "dataset.table"}'


@dataclass(frozen=True)
class TableInput:
    """A table as input, with its columns renamed to the names of the model's inputs."""

    table: TableName
    columns: tuple[tuple[str, str], ...]
    """Pairs of the model's input and the table's column."""
    where: str | None


@dataclass(frozen=True)
class PredictRequest:
    """One predict message."""

    model: ModelName
    query: str | None
    """The query whose rows are the input; None if ``table`` is."""
    table: TableInput | None
    output: TableName
    write: str
    key: tuple[str, ...]
    """With ``write`` merge: the columns that identify a row."""
    request_id: str | None
    maximum_bytes_billed: int | None
    priority: str
    labels: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, Any], ...]
    function: str
    options: tuple[tuple[str, Any], ...]
    maximum_rows: int | None
    columns: ChosenColumns | None = None
    """The columns of the predictions to write; None: all."""

    @classmethod
    def parse(cls, payload: Mapping[str, Any], settings: Settings, published: datetime) -> PredictRequest:
        """Read a message that was published at ``published``.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        fields = Fields(payload)
        project = settings.google_cloud_project
        model = ModelName.parse(fields.text("model"), project=project, field="model")
        query, table = _input(fields.nested("input", example=_INPUT_EXAMPLE), settings)
        output, write, key = _output(fields.nested("output", example='{"table": "dataset.table"}'), settings)
        function = fields.choice("function", FUNCTIONS, "ML.PREDICT")
        options = fields.plain("options")
        for name in options:
            check_column(name, f"options.{name}"[:80])
        maximum_rows = fields.optional_whole("max_rows", most=10_000_000)
        request = cls(
            model=model,
            query=query,
            table=table,
            output=output,
            write=write,
            key=key,
            request_id=read_request_id(fields, published),
            maximum_bytes_billed=fields.optional_whole("max_bytes_billed"),
            priority=fields.choice("priority", PRIORITIES, "interactive"),
            labels=read_labels(fields),
            parameters=_parameters(fields),
            function=function,
            options=tuple(sorted(options.items())),
            maximum_rows=maximum_rows if function == "ML.PREDICT" else maximum_rows or 10_000,
            columns=ChosenColumns.read(fields),
        )
        fields.reject_unknown()
        return request


def _input(fields: Fields, settings: Settings) -> tuple[str | None, TableInput | None]:
    if fields.has("query") == fields.has("table"):
        problem = f"must have either query or table{fields.suggestion('query', 'table')}"
        raise fields.wrong("", problem, code="missing_field")
    if fields.has("query"):
        query = fields.text("query", longest=LONGEST_QUERY)
        fields.reject_unknown()
        query = check_query(
            query,
            field="input.query",
            allow_external=settings.allow_external_query,
            allow_ai=settings.allow_ai_functions,
            allow_catalog=not settings.readable_datasets,
        )
        return query, None
    table = TableName.parse(fields.text("table"), project=settings.google_cloud_project, field="input.table")
    columns = fields.text_map("columns")
    for name, column in columns.items():
        check_column(name, f"input.columns.{name}"[:80])
        check_column(column, f"input.columns.{name}"[:80])
    where = fields.optional_text("where", longest=LONGEST_QUERY)
    fields.reject_unknown()
    if where is not None:
        where = check_condition(
            where,
            field="input.where",
            allow_external=settings.allow_external_query,
            allow_ai=settings.allow_ai_functions,
            allow_catalog=not settings.readable_datasets,
        )
    return None, TableInput(table, tuple(columns.items()), where)


def _output(fields: Fields, settings: Settings) -> tuple[TableName, str, tuple[str, ...]]:
    table = TableName.parse(fields.text("table"), project=settings.google_cloud_project, field="output.table")
    write = fields.choice("write", WRITES, "empty")
    key = fields.texts("key")
    fields.reject_unknown()
    for index, column in enumerate(key):
        check_column(column, f"output.key[{index}]")
    if (write == "merge") != bool(key):
        raise fields.wrong("key", "goes with write: merge, and is needed for it", code="missing_field")
    check_writable(table.project, table.dataset, settings, "output.table")
    return table, write, key


def _parameters(fields: Fields) -> tuple[tuple[str, Any], ...]:
    given = fields.plain("parameters")
    for name, value in given.items():
        where = f"parameters.{name}"[:80]
        check_parameter(name, where)
        values = value if isinstance(value, list) else [value]
        kinds = {type(each) for each in values}
        if kinds == {int, float}:
            # JSON does not distinguish 1.0 from 1: a list with one fraction is a list of fractions.
            given[name], kinds = [float(each) for each in values], {float}
        if not values or len(kinds) != 1 or not kinds <= {str, int, float, bool}:
            raise fields.wrong(where, "must be a string, a number, true or false, or a list of one of these")
    return tuple(sorted(given.items()))
