"""BigQuery ML: model statements carried out, ML functions rewritten."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from localcloud.base.clock import Clock, rfc3339
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.catalog import (
    Model,
    ModelCatalog,
    already_exists,
    milliseconds,
)
from localcloud.bigquery.ml.changes import altered
from localcloud.bigquery.ml.exporting import export
from localcloud.bigquery.ml.functions import Functions
from localcloud.bigquery.ml.importing import ImportOptions, fetch, import_options
from localcloud.bigquery.ml.object_tables import (
    CreateObjectTable,
    ObjectTables,
    TablePath,
    parse_object_table,
    table_exists,
)
from localcloud.bigquery.ml.remote import remote_model_info
from localcloud.bigquery.ml.rewriting import Rewriter, mentions_functions
from localcloud.bigquery.ml.runtimes.base import ModelRefused
from localcloud.bigquery.ml.runtimes.loading import load, verify
from localcloud.bigquery.ml.statements import (
    AlterModel,
    CreateMode,
    CreateModel,
    DropModel,
    ExportModel,
    Expression,
    ModelReference,
    ModelStatement,
    OptionValue,
    parse_statement,
)
from localcloud.gemini.backends import ModelBackend
from localcloud.storage.store import ObjectStore

OBJECT_TABLES = "object_tables.json"


@dataclass(frozen=True)
class ModelResult:
    """What a model statement did.

    Attributes:
        statement_type: BigQuery's ``statementType``.
        ddl_operation: ``CREATE``, ``REPLACE``, ``SKIP``, ``DROP`` or ``ALTER``; None where nothing is defined.
        destination: The ``ModelReference`` of what was made, or None.
        statistics: What to merge into the job's ``statistics.query``.
    """

    statement_type: str
    ddl_operation: str | None = None
    destination: dict[str, str] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)


class MachineLearning:
    """The part of BigQuery that knows models."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        clock: Clock,
        directory: Path | None,
        backend: ModelBackend | None,
    ) -> None:
        """Open the models in ``directory``; None keeps them until the process ends."""
        self.models = ModelCatalog(directory, clock)
        self._store = store
        self._clock = clock
        self._backend = backend

        self._functions = Functions()
        self._objects = ObjectTables(store, self._functions, None if directory is None else directory / OBJECT_TABLES)

    # Statements

    def parse(
        self, sql: str, *, project: str, default_dataset: str | None
    ) -> ModelStatement | CreateObjectTable | None:
        """Return the statement about a model or an object table that ``sql`` is, or None. Raises ``QueryError``."""
        return parse_statement(sql, project=project, default_dataset=default_dataset) or parse_object_table(
            sql, project=project, default_dataset=default_dataset
        )

    def execute(self, statement: ModelStatement | CreateObjectTable, session: Session, *, dry_run: bool) -> ModelResult:
        """Carry out a statement that ``parse`` gave; in a dry run only check it. Raises ``QueryError``."""
        match statement:
            case CreateObjectTable():
                return self._create_object_table(statement, session, dry_run=dry_run)
            case CreateModel():
                return self._create(statement, session, dry_run=dry_run)
            case DropModel():
                return self._drop(statement, dry_run=dry_run)
            case AlterModel():
                return self._alter(statement, session, dry_run=dry_run)
            case ExportModel():
                return self._export(statement, session, dry_run=dry_run)

    def _create(self, statement: CreateModel, session: Session, *, dry_run: bool) -> ModelResult:
        reference = statement.reference
        remote = statement.connection is not None
        options = None if remote else import_options(statement)
        location = _location(statement.reference, session)
        info = remote_model_info(statement, location) if remote else {}
        # Models share their names with tables and views.
        if table_exists(TablePath(reference.project, reference.dataset, reference.model), session):
            raise QueryError(f"Already Exists: Table {reference}", reason="duplicate")
        present = self.models.find(reference)
        if present is not None and statement.mode is CreateMode.IF_NOT_EXISTS:
            return ModelResult("CREATE_MODEL", "SKIP", reference.resource())
        if present is not None and statement.mode is CreateMode.CREATE:
            raise already_exists(reference)
        operation = "CREATE" if present is None else "REPLACE"
        if not dry_run and options is None:
            self._connect(statement, info, location)
        elif not dry_run and options is not None:
            self._import(statement, options, session, location)
        kind = "MODEL_TYPE_UNSPECIFIED" if options is None else options.type
        training = {"modelType": kind, "trainingType": "SINGLE_TRAINING"}
        return ModelResult("CREATE_MODEL", operation, reference.resource(), {"mlStatistics": training})

    def _connect(self, statement: CreateModel, info: dict[str, Any], location: str) -> None:
        """Make a remote model."""
        version, files = self.models.begin()
        now = str(milliseconds(self._clock.now()))
        resource: dict[str, Any] = {
            "modelReference": statement.reference.resource(),
            "modelType": "MODEL_TYPE_UNSPECIFIED",
            "location": location,
            "creationTime": now,
            "lastModifiedTime": now,
            "remoteModelInfo": info,
        }
        try:
            model = Model(statement.reference, version, "", resource, files)
            self.models.commit(model, replacing=statement.mode is CreateMode.REPLACE)
        except QueryError:
            self.models.discard(version)
            raise

    def _create_object_table(self, statement: CreateObjectTable, session: Session, *, dry_run: bool) -> ModelResult:
        path = statement.path
        session.dataset_location(path.project, path.dataset)
        operation = "CREATE" if dry_run else self._objects.create(statement, session)
        table = {"projectId": path.project, "datasetId": path.dataset, "tableId": path.table}
        return ModelResult("CREATE_EXTERNAL_TABLE", operation, None, {"ddlTargetTable": table})

    def _import(self, statement: CreateModel, options: ImportOptions, session: Session, location: str) -> None:
        started = self._clock.now()
        version, files = self.models.begin()
        try:
            fetch(options, self._store, files, lambda: _check_running(session))
            verify(options.type, files)
            runtime = load(options.type, files, declared=options.declared)
            _check_running(session)
            resource: dict[str, Any] = {
                "modelReference": statement.reference.resource(),
                "modelType": options.type,
                "location": location,
                "creationTime": str(milliseconds(self._clock.now())),
                "lastModifiedTime": str(milliseconds(self._clock.now())),
                "featureColumns": [feature.standard_sql_field() for feature in runtime.signature.inputs],
                "labelColumns": [feature.standard_sql_field() for feature in runtime.signature.outputs],
                "trainingRuns": [_training_run(options, started)],
            }
            if options.kms_key is not None:
                resource["encryptionConfiguration"] = {"kmsKeyName": options.kms_key}
            model = Model(statement.reference, version, options.type, resource, files, runtime.signature)
            self.models.commit(model, replacing=statement.mode is CreateMode.REPLACE)
        except ModelRefused as error:
            self.models.discard(version)
            raise QueryError(str(error), location="query") from error
        except BaseException:
            self.models.discard(version)
            raise

    def _drop(self, statement: DropModel, *, dry_run: bool) -> ModelResult:
        reference = statement.reference
        if statement.if_exists and self.models.find(reference) is None:
            return ModelResult("DROP_MODEL", "SKIP")
        self.models.require(reference)
        if not dry_run:
            self.models.delete(reference.project, reference.dataset, reference.model)
        return ModelResult("DROP_MODEL", "DROP")

    def _alter(self, statement: AlterModel, session: Session, *, dry_run: bool) -> ModelResult:
        if statement.if_exists and self.models.find(statement.reference) is None:
            return ModelResult("ALTER_MODEL", "SKIP")
        model = self.models.require(statement.reference)
        options = {name: _evaluated(value, session) for name, value in statement.options.items()}
        if dry_run:
            altered(dict(model.resource), options)
        else:
            self.models.update(statement.reference, lambda resource: altered(resource, options))
        return ModelResult("ALTER_MODEL", "ALTER")

    def _export(self, statement: ExportModel, session: Session, *, dry_run: bool) -> ModelResult:
        export(self.models.require(statement.reference), statement.options, self._store, dry_run=dry_run)
        return ModelResult("EXPORT_MODEL")

    # Functions

    def uses_models(self, sql: str) -> bool:
        """Tell whether ``sql`` may hold an ML function or an object table, by a quick look."""
        return mentions_functions(sql) or self._objects.mentioned(sql)

    def rewrite(self, sql: str, session: Session, *, dry_run: bool) -> str:
        """Return a statement with its ML functions replaced by GoogleSQL that DuckDB can run.

        Args:
            sql: One statement of GoogleSQL.
            session: The job that runs it.
            dry_run: Whether it is only looked at; no model is loaded or asked then.

        Raises:
            QueryError: A model is missing, or an input does not fit it.
        """
        rewriter = Rewriter(
            sql,
            session,
            models=self.models,
            functions=self._functions,
            objects=self._objects,
            backend=self._backend,
            dry_run=dry_run,
        )
        return rewriter.rewritten()


def _location(reference: ModelReference, session: Session) -> str:
    """Return where a model's dataset is; the hidden ones, which hold query results, are where the job is."""
    if reference.dataset.startswith("_"):
        return session.location
    return session.dataset_location(reference.project, reference.dataset)


def _check_running(session: Session) -> None:
    if session.cancelled.is_set():
        raise QueryError("Job execution was cancelled: User requested cancellation", reason="stopped")


def _training_run(options: ImportOptions, started: datetime) -> dict[str, Any]:
    run: dict[str, Any] = {"startTime": rfc3339(started), "trainingOptions": {"modelUri": options.path}}
    if options.vertex_id is not None:
        run["vertexAiModelId"] = options.vertex_id
        run["trainingOptions"]["modelRegistry"] = "VERTEX_AI"
        if options.aliases:
            run["trainingOptions"]["vertexAiModelVersionAliases"] = list(options.aliases)
    return run


def _evaluated(value: OptionValue, session: Session) -> OptionValue | datetime:
    """Return the value of an option, computed if it is an expression."""
    if not isinstance(value, Expression):
        return value
    row = session.connection.execute(session.translate(f"SELECT {value.sql}")).fetchone()
    result: OptionValue | datetime = None if row is None else row[0]
    return result
