"""Turns ML.PREDICT into a subquery over the model's function.

    ML.PREDICT(MODEL m, (q))
    -> (SELECT p.out1, ..., q's columns FROM (SELECT ml_predict_<version>(job, in1, ...) AS p, q.* FROM (q) AS q))

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-predict
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import marked_name, plain_name
from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.image_fields import DIMENSIONS, VALUES
from localcloud.bigquery.ml.models.signature import ColumnType, Feature, accepts
from localcloud.bigquery.sql.functions.numbers.nan import FLOATS
from localcloud.bigquery.sql.reading.tokens import position

_ROW, _PREDICTED = "__input", "__predicted"

# The third argument of ML.PREDICT, and the type of each of its fields.
PREDICT_OPTIONS = {"threshold": "number", "keep_original_columns": "boolean", "trial_id": "number"}


@dataclass(frozen=True)
class InputValue:
    """The expression for one of a model's inputs.

    Attributes:
        sql: The expression, over the columns of the row ``__input``.
        column: The column that the expression uses.
        plain: Whether the expression is only the column.
    """

    sql: str
    column: str
    plain: bool


@dataclass(frozen=True)
class Prediction:
    """A validated call of ML.PREDICT.

    Attributes:
        model: The model.
        query: The GoogleSQL of its input, without ML functions.
        arguments: The expressions for the model's inputs, in order.
        alias: The name of the column for the model's outputs, which no column of the input has.
        passed_through: The name of each column of the input, and its name in the result, which differs if an output has
            the same name.
    """

    model: Model
    query: str
    arguments: tuple[InputValue, ...]
    alias: str = _PREDICTED
    passed_through: tuple[tuple[str, str], ...] = ()

    def sql(self, function: str, job: int) -> str:
        """Return the subquery that replaces the call.

        Args:
            function: The name of the model's DuckDB function.
            job: The number of the job, the function's first argument.
        """
        outputs = ", ".join(f"{self._output(feature)} AS {quoted(feature.name)}" for feature in self.outputs)
        given = ", ".join([str(job), *(argument.sql for argument in self.arguments)])
        kept = f"* EXCEPT ({self.alias})"
        if self.repeats:
            kept = ", ".join(f"{quoted(name)} AS {quoted(result)}" for name, result in self.passed_through)
        return (
            f"(SELECT {outputs}, {kept} FROM "
            f"(SELECT {function}({given}) AS {self.alias}, {_ROW}.* FROM ({self.query}) AS {_ROW}))"
        )

    def _output(self, feature: Feature) -> str:
        value = f"{self.alias}.{quoted(feature.name)}"
        return f"{FLOATS}({value})" if feature.type == "FLOAT64" else value

    @property
    def repeats(self) -> bool:
        """Whether two columns of the result have the same name."""
        return any(name != result for name, result in self.passed_through)

    @property
    def columns(self) -> list[str]:
        """The names of the result's columns, as they are without regard to other columns of the same name."""
        return [*(feature.name for feature in self.outputs), *(plain_name(name) for name, _ in self.passed_through)]

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The model's inputs."""
        return self.model.signature.inputs if self.model.signature is not None else ()

    @property
    def outputs(self) -> tuple[Feature, ...]:
        """The model's outputs."""
        return self.model.signature.outputs if self.model.signature is not None else ()


def quoted(name: str) -> str:
    """Return a name as a quoted GoogleSQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def string_literal(text: str) -> str:
    """Return a text as a GoogleSQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def input_column(function: str, columns: Sequence[Column], name: str) -> Column:
    """Return the column that a table-valued function, such as ``ML.GENERATE_TEXT``, reads.

    Raises:
        QueryError: The input does not have it.
    """
    found = next((column for column in columns if column.name.lower() == name), None)
    if found is None:
        raise QueryError(
            f"Invalid table-valued function {function}\nColumn {name} is not found in the input data to the "
            f"{function.partition('.')[2]} function.",
            location="query",
        )
    return found


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, or ``name_2``, ``name_3`` and so on if it is among ``taken``. Case does not matter."""
    used = {each.lower() for each in taken}
    found, number = name, 1
    while found in used:
        number += 1
        found = f"{name}_{number}"
    return found


def prepare_prediction(model: Model, query: str, columns: Sequence[Column], *, sql: str, offset: int) -> Prediction:
    """Return the prediction over a query.

    Args:
        model: An imported model.
        query: The GoogleSQL of the input.
        columns: The columns of the input.
        sql: The whole statement, for error messages.
        offset: The offset of the call in ``sql``, for error messages.

    Raises:
        QueryError: A column is missing, or its type does not match the model's input.
    """
    if model.signature is None:
        raise QueryError(f"ML.PREDICT is not supported for the remote model {model.reference}.", location="query")
    where = position(sql, offset)
    by_name = {column.name.lower(): column for column in columns}
    names = [plain_name(column.name).lower() for column in columns]
    arguments = []
    for feature in model.signature.inputs:
        column = by_name.get(feature.name.lower())
        if column is None:
            raise QueryError(
                "Invalid table-valued function ML.PREDICT\n"
                f"Column {feature.name} is not found in the input data to the PREDICT function. at {where}",
                location="query",
            )
        if names.count(feature.name.lower()) > 1:
            raise QueryError(f"Column name {feature.name} is ambiguous at {where}", location="query")
        arguments.append(_argument(model, feature, column, where))
    taken = [feature.name for feature in model.signature.outputs]
    passed_through = []
    for column in columns:
        passed_through.append((column.name, marked_name(column.name, taken)))
        taken.append(passed_through[-1][1])
    return Prediction(model, query, tuple(arguments), unused_name(_PREDICTED, names), tuple(passed_through))


def _argument(model: Model, feature: Feature, column: Column, where: str) -> InputValue:
    kind = ColumnType.of(column.field)
    if not accepts(feature, kind, castable=model.type != "TENSORFLOW"):
        expected = "an image or " + feature.sql_type if feature.image else feature.sql_type
        raise QueryError(
            "Invalid table-valued function ML.PREDICT\n"
            f"Column {column.name} in the input data to the PREDICT function has type {kind.sql}, but the model "
            f"expects {expected}. at {where}",
            location="query",
        )
    value = plain = f"{_ROW}.{quoted(column.name)}"
    if kind.is_image:
        value = f"CAST({_image_values(feature, column.name, value)} AS {feature.sql_type})"
        return InputValue(value, column.name, plain=False)
    if feature.array and not kind.array:
        value = f"[{value}]"
    elif kind.array and not feature.array:
        message = f"Column {column.name} must hold arrays of one element."
        value = f"IF(ARRAY_LENGTH({value}) = 1, {value}[OFFSET(0)], ERROR({string_literal(message)}))"
    if kind.name != feature.type:
        value = f"CAST({value} AS {feature.sql_type})"
    if feature.array and feature.nullable:
        # A NULL is an array without values: empty, or as many zeros or empty texts as the model's shape has.
        nothing = {"STRING": "''", "BOOL": "FALSE"}.get(feature.type, "0")
        value = f"IFNULL({value}, CAST([{', '.join([nothing] * (feature.size or 0))}] AS {feature.sql_type}))"
    return InputValue(value, column.name, plain=value == plain)


def _image_values(feature: Feature, name: str, image: str) -> str:
    """Return an expression for the values of an image; it fails if the dimensions do not match the model's."""
    sizes = [(index, size) for index, size in enumerate(feature.shape) if size is not None]
    matches = " AND ".join(f"{image}.{DIMENSIONS}[OFFSET({index})] = {size}" for index, size in sizes) or "TRUE"
    message = string_literal(
        f"Column {name} must hold images of the model's dimensions {list(feature.shape)} (height, width, channels). Use "
        "ML.RESIZE_IMAGE."
    )
    return f"IF({image} IS NULL OR ({matches}), {image}.{VALUES}, ERROR({message}))"
