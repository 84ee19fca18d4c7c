"""Parses the statements about models: CREATE, DROP, ALTER and EXPORT MODEL.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.sql.reading.tokens import (
    Cursor,
    Token,
    position,
    syntax_error,
)

# https://cloud.google.com/bigquery/docs/reference/rest/v2/ModelReference
_MODEL_ID = re.compile(r"\w{1,1024}", re.ASCII)
_DATASET_ID = re.compile(r"[\w-]{1,1024}", re.ASCII)
_TEMPORARY = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\s+MODEL\b", re.IGNORECASE)
_PROJECT_ID = re.compile(r"(?:[a-z][a-z0-9.-]*:)?[A-Za-z][A-Za-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class ModelReference:
    """The full name of a model."""

    project: str
    dataset: str
    model: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.model}"

    def resource(self) -> dict[str, str]:
        """Return the REST ``ModelReference``."""
        return {"projectId": self.project, "datasetId": self.dataset, "modelId": self.model}


@dataclass(frozen=True)
class FieldDeclaration:
    """A field of an INPUT or OUTPUT clause: its name, and its type in upper case."""

    name: str
    type: str


class CreateMode(Enum):
    """What CREATE MODEL does if the model exists."""

    CREATE = "CREATE"
    IF_NOT_EXISTS = "IF_NOT_EXISTS"
    REPLACE = "REPLACE"


@dataclass(frozen=True)
class CreateModel:
    """A CREATE MODEL statement.

    Attributes:
        reference: The model.
        mode: What to do if the model exists.
        options: The options; their names are in upper case.
        inputs: The fields of the INPUT clause, or None.
        outputs: The fields of the OUTPUT clause, or None.
        connection: The connection of a remote model; None for other models.
        trained: Whether BigQuery trains the model, from a query or with a TRANSFORM clause.
    """

    reference: ModelReference
    mode: CreateMode
    options: dict[str, OptionValue]
    inputs: tuple[FieldDeclaration, ...] | None = None
    outputs: tuple[FieldDeclaration, ...] | None = None
    connection: str | None = None
    trained: bool = False


@dataclass(frozen=True)
class DropModel:
    """A DROP MODEL statement."""

    reference: ModelReference
    if_exists: bool


@dataclass(frozen=True)
class AlterModel:
    """An ALTER MODEL SET OPTIONS statement."""

    reference: ModelReference
    if_exists: bool
    options: dict[str, OptionValue]


@dataclass(frozen=True)
class ExportModel:
    """An EXPORT MODEL statement."""

    reference: ModelReference
    options: dict[str, OptionValue]


ModelStatement: TypeAlias = CreateModel | DropModel | AlterModel | ExportModel


def parse_statement(sql: str, *, project: str, default_dataset: str | None) -> ModelStatement | None:
    """Return the statement in ``sql`` if it is about a model, or None if it is another statement.

    Args:
        sql: One statement of GoogleSQL.
        project: The project of names without one.
        default_dataset: The dataset of names without one (``project.dataset`` or ``dataset``), or None.

    Raises:
        QueryError: It is a model statement and is not valid.
    """
    if not re.search(r"\bMODEL\b", sql, re.IGNORECASE):
        return None
    cursor = Cursor(sql)
    parser = _Parser(cursor, project, default_dataset)
    if cursor.take_words("CREATE", "OR", "REPLACE", "MODEL"):
        return parser.create(CreateMode.REPLACE)
    if cursor.take_words("CREATE", "MODEL"):
        return parser.create(CreateMode.CREATE)
    if cursor.take_words("DROP", "MODEL"):
        return parser.drop()
    if cursor.take_words("ALTER", "MODEL"):
        return parser.alter()
    if cursor.take_words("EXPORT", "MODEL"):
        return parser.export()
    if _TEMPORARY.match(sql, cursor.all[0].start if cursor.all else 0):
        raise QueryError("CREATE MODEL does not support TEMP: BigQuery has no temporary models", location="query")
    return None


class _Parser:
    def __init__(self, cursor: Cursor, project: str, default_dataset: str | None) -> None:
        self.cursor = cursor
        self.project = project
        self.default_dataset = default_dataset

    def create(self, mode: CreateMode) -> CreateModel:
        cursor = self.cursor
        if cursor.take_words("IF"):
            cursor.expect_word("NOT")
            cursor.expect_word("EXISTS")
            if mode is CreateMode.REPLACE:
                raise QueryError("CREATE MODEL cannot have both OR REPLACE and IF NOT EXISTS", location="query")
            mode = CreateMode.IF_NOT_EXISTS
        name = cursor.take_path()
        inputs = outputs = connection = None
        transformed = False
        if cursor.take_words("TRANSFORM"):
            transformed = True
            cursor.skip_group()
        if cursor.take_words("INPUT"):
            inputs = self._fields()
            cursor.expect_word("OUTPUT")
            outputs = self._fields()
        if cursor.take_words("REMOTE"):
            cursor.expect_word("WITH")
            cursor.expect_word("CONNECTION")
            connection = "DEFAULT" if cursor.take_words("DEFAULT") else ".".join(cursor.take_path()[0])
        options = take_options(cursor) if cursor.take_words("OPTIONS") else {}
        trained = transformed or cursor.take_words("AS")
        if not trained:
            cursor.expect_end()
        return CreateModel(self._resolve(name), mode, options, inputs, outputs, connection, trained)

    def drop(self) -> DropModel:
        if_exists = self._if_exists()
        name = self.cursor.take_path()
        self.cursor.expect_end()
        return DropModel(self._resolve(name), if_exists)

    def alter(self) -> AlterModel:
        if_exists = self._if_exists()
        name = self.cursor.take_path()
        self.cursor.expect_word("SET")
        self.cursor.expect_word("OPTIONS")
        options = take_options(self.cursor)
        self.cursor.expect_end()
        return AlterModel(self._resolve(name), if_exists, options)

    def export(self) -> ExportModel:
        name = self.cursor.take_path()
        options = take_options(self.cursor) if self.cursor.take_words("OPTIONS") else {}
        self.cursor.expect_end()
        return ExportModel(self._resolve(name), options)

    def _if_exists(self) -> bool:
        if not self.cursor.take_words("IF"):
            return False
        self.cursor.expect_word("EXISTS")
        return True

    def _resolve(self, name: tuple[tuple[str, ...], Token]) -> ModelReference:
        # Called after the whole statement is parsed, since syntax errors come before invalid names.
        parts, first = name
        return resolve_model(
            parts,
            project=self.project,
            default_dataset=self.default_dataset,
            where=position(self.cursor.sql, first.start),
        )

    def _fields(self) -> tuple[FieldDeclaration, ...]:
        cursor = self.cursor
        cursor.expect_symbol("(")
        fields = []
        while True:
            name = cursor.take()
            if name.kind not in ("word", "quoted"):
                raise syntax_error(cursor.sql, f"Unexpected {name.named()}", name.start)
            fields.append(FieldDeclaration(name.text, self._type()))
            if not cursor.take_symbol(","):
                cursor.expect_symbol(")")
                return tuple(fields)

    def _type(self) -> str:
        """Take a type such as ``FLOAT64`` or ``ARRAY<FLOAT64>``, up to the comma or bracket after it."""
        start, depth = self.cursor.take(), 0
        end = start.end
        while (token := self.cursor.peek()) and (depth or not token.is_symbol(",", ")")):
            # Two closing brackets can be one token.
            depth += token.text.count("<") + token.text.count("(") - token.text.count(">") - token.text.count(")")
            end = self.cursor.take().end
        return re.sub(r"\s+", "", self.cursor.sql[start.start : end]).upper()


def resolve_model(
    parts: tuple[str, ...], *, project: str, default_dataset: str | None, where: str = ""
) -> ModelReference:
    """Return the model that a name of one to three parts refers to.

    Args:
        parts: The parts of the name.
        project: The project of names without one.
        default_dataset: The dataset of names without one (``project.dataset`` or ``dataset``), or None.
        where: The position of the name in the statement, for error messages.

    Raises:
        QueryError: A part is not a valid id, or the name has no dataset and there is no default one.
    """
    match parts:
        case (model,):
            if default_dataset is None:
                raise QueryError(
                    f'Model name "{model}" missing dataset while no default dataset is set in the request.',
                    reason="invalid",
                )
            *default_project, dataset = re.split(r"[.:]", default_dataset)
            project = ".".join(default_project) or project
        case (dataset, model):
            pass
        case (*project_parts, dataset, model):
            project = ".".join(project_parts)
        case _:
            raise QueryError(f"Invalid model name: {'.'.join(parts)}", reason="invalid")
    suffix = f" at {where}" if where else ""
    if not _PROJECT_ID.fullmatch(project):
        raise QueryError(f'Invalid project ID "{project}".{suffix}', reason="invalid")
    if not _DATASET_ID.fullmatch(dataset):
        raise QueryError(
            f'Invalid dataset ID "{dataset}". Dataset IDs must be alphanumeric (plus underscores and dashes) and must '
            f"be at most 1024 characters long.{suffix}",
            reason="invalid",
        )
    if not _MODEL_ID.fullmatch(model):
        raise QueryError(
            f'Invalid model ID "{model}". Model IDs must be alphanumeric (plus underscores) and must be at most 1024 '
            f"characters long.{suffix}",
            reason="invalid",
        )
    return ModelReference(project, dataset, model)
