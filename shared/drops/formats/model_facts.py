"""What the readers of the formats report about a model, and the interface that each of them has.

Google's rules are on the page of each model type, for example
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-onnx
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.drops import limits
from shared.drops.formats.model_file import ModelFile
from shared.errors import Problem

Shape = tuple[int | None, ...]
"""The sizes of a tensor's dimensions; None for an open size."""

# A column that SQL can name in backticks: https://docs.cloud.google.com/bigquery/docs/schemas#flexible-column-names
_NOT_IN_COLUMNS = re.compile(r'[!"$()*,./;?@\[\\\]^`{}~\x00-\x1f\x7f]')
_COLUMN_CHARACTERS = 300

# BigQuery adds columns with these prefixes itself: https://docs.cloud.google.com/bigquery/docs/schemas#column_names
_RESERVED = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model."""

    name: str
    """The name in the model, which becomes the name of the column."""
    type: str
    """The type of the column in GoogleSQL, such as INT64 or ARRAY<FLOAT64>."""
    element: str
    """The type of an element as the format names it, such as float32."""
    shape: Shape | None
    """The shape with the batch dimension, if there is one; None if the file leaves the rank open."""


@dataclass(frozen=True)
class Columns:
    """The columns of an XGBoost model in the clauses INPUT and OUTPUT, each with its name and type."""

    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What the files of a model say about it."""

    model_type: str
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    """Names and values of the versions in the file, such as IR version and 8, for people."""
    problems: tuple[Problem, ...] = ()
    """Why BigQuery would refuse the model, each with what to do."""
    notes: tuple[str, ...] = ()
    """What works and may surprise."""
    needed: Columns | None = None
    """What `modeldrop.yaml` must declare, because the file does not contain it and nothing is declared."""
    takes_examples: bool = False
    """Whether the input is a serialized tf.train.Example, whose features are the columns. The files may not name them."""

    def refusal(self) -> Problem | None:
        """Return all problems as one, with the code of the first; None if BigQuery takes the model."""
        if len(self.problems) < 2:
            return self.problems[0] if self.problems else None
        shown = self.problems[: limits.PROBLEMS]
        texts = [f"({number}) {problem.message}" for number, problem in enumerate(shown, 1)]
        if more := len(self.problems) - len(shown):
            texts.append(f"and {more:,} more")
        return Problem(self.problems[0].code, "; ".join(texts))


@dataclass(frozen=True)
class Format:
    """A format of models: how its file is recognized, how large it may be, and how it is read."""

    model_type: str
    """BigQuery's MODEL_TYPE."""
    endings: tuple[str, ...]
    """How the name of the one file of the model ends. Empty for a SavedModel, which is a folder."""
    largest: int
    """The largest size of all files of the model, in bytes."""
    read: Callable[[ModelFile, Columns], ModelFacts]
    """Reads the file of the model. Its arguments are the file and the declared columns.

    It raises ``Rejected`` if the file is not of the format, or exceeds a limit of ``limits``."""


def input_type(kind: str, row: Shape) -> str:
    """Return the type of an input's column.

    Args:
        kind: The type of an element in GoogleSQL.
        row: The shape of one row. A vector of one element is a scalar:
            https://docs.cloud.google.com/bigquery/docs/making-predictions-with-sklearn-models-in-onnx-format
    """
    return kind if row in ((), (1,)) else f"ARRAY<{kind}>"


def output_type(kind: str, row: Shape) -> str:
    """Return the type of an output's column. Every vector is an ARRAY, even of one element."""
    return f"ARRAY<{kind}>" if row else kind


def check_columns(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Problem]:
    """Return what is wrong with the names and the number of a model's inputs and outputs."""
    problems = []
    for what, tensors in (("input", inputs), ("output", outputs)):
        names: dict[str, str] = {}
        for tensor in tensors:
            if fault := fault_of_column(tensor.name):
                problems.append(
                    Problem(
                        "wrong_column",
                        f"the {what} {tensor.name[:120]!r} {fault}, so it cannot be the name of a column: rename it, or run "
                        "`modeldrop export`",
                    )
                )
            if (same := names.setdefault(tensor.name.casefold(), tensor.name)) != tensor.name:
                problems.append(
                    Problem(
                        "wrong_column",
                        f"the {what}s {same[:120]!r} and {tensor.name[:120]!r} differ only in case, which names of columns "
                        "ignore: rename one",
                    )
                )
    if len(inputs) + len(outputs) > limits.COLUMNS:
        problems.append(
            Problem(
                "too_large",
                f"the model has {len(inputs):,} inputs and {len(outputs):,} outputs, and a query returns at most "
                f"{limits.COLUMNS:,} columns: pass one vector instead of many scalars",
            )
        )
    return problems


def fault_of_column(name: str) -> str | None:
    """Return why a name cannot be the name of a column, as the rest of a sentence; None if it can."""
    if not name:
        return "has no name"
    if found := _NOT_IN_COLUMNS.search(name):
        return f"holds the character {found[0]!r}"
    if len(name) > _COLUMN_CHARACTERS:
        return f"has more than {_COLUMN_CHARACTERS} characters"
    if name.upper().startswith(_RESERVED):
        return "begins with a prefix that BigQuery reserves"
    return None


def check_batch(model: str, tensors: Sequence[Tensor]) -> list[Problem]:
    """Return which inputs accept only a fixed number of rows. ``model`` names the format in the texts."""
    return [
        Problem(
            "fixed_batch",
            f"the input {tensor.name[:120]!r} of the {model} model has the fixed batch dimension {tensor.shape[0]}; BigQuery "
            "passes any number of rows: export the model with an open first dimension",
        )
        for tensor in tensors
        if tensor.shape and (tensor.shape[0] or 0) > 1
    ]
