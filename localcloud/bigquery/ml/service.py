"""BigQuery ML: runs model statements, and rewrites statements with ML functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from localcloud.base.clock import Clock, rfc3339
from localcloud.bigquery.base.connections import Connections, check_location, connection_name
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.models.catalog import (
    Model,
    ModelCatalog,
    already_exists,
    milliseconds,
)
from localcloud.bigquery.ml.models.changes import apply_options
from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.exporting import export
from localcloud.bigquery.ml.models.importing import ImportOptions, fetch, import_options
from localcloud.bigquery.ml.models.options import Expression, OptionValue
from localcloud.bigquery.ml.models.remote import remote_model_info
from localcloud.bigquery.ml.models.statements import (
    AlterModel,
    CreateMode,
    CreateModel,
    DropModel,
    ExportModel,
    ModelReference,
    ModelStatement,
    parse_statement,
)
from localcloud.bigquery.ml.objects.statements import (
    CreateObjectTable,
    DropExternalTable,
    ObjectTableStatement,
    parse_object_table,
)
from localcloud.bigquery.ml.objects.tables import ObjectTables, table_exists
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.ml.predicting.online import predict_instances
from localcloud.bigquery.ml.rewriting import Rewriter, may_call_functions
from localcloud.bigquery.ml.workers.pool import ModelWorkers
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import MODELS, ModelTable
from localcloud.gemini.models import Model as GeminiModel
from localcloud.storage.objects.store import ObjectStore

OBJECT_TABLES_FILE = "object_tables.json"


@dataclass(frozen=True)
class ModelResult:
    """The result of a model statement.

    Attributes:
        statement_type: The job's ``statementType``.
        ddl_operation: ``CREATE``, ``REPLACE``, ``SKIP``, ``DROP`` or ``ALTER``; None for EXPORT MODEL.
        destination: The ``ModelReference`` of the created model, or None.
        statistics: Fields to add to the job's ``statistics.query``.
    """

    statement_type: str
    ddl_operation: str | None = None
    destination: dict[str, str] | None = None
    statistics: dict[str, Any] = field(default_factory=dict)


class MachineLearning:
    """The models and object tables of a local BigQuery, and the statements about them."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        clock: Clock,
        directory: Path | None,
        connections: Connections,
        backend: ModelBackend | None,
        served: Mapping[str, GeminiModel] = MODELS,
    ) -> None:
        """Open the models and object tables.

        Args:
            store: The Cloud Storage that models are imported from and exported to.
            clock: The source of creation, modification and expiration times.
            directory: The folder of the models, created if missing; None uses a temporary one.
            connections: The connections of remote models and object tables.
            backend: The backend of remote models, or None.
            served: The models of Vertex AI, by id.
        """
        self.models = ModelCatalog(directory, clock)
        self._store = store
        self._clock = clock
        self._connections = connections
        self._backend = backend
        self._served = ModelTable(clock, served)

        self._workers = ModelWorkers()
        self._functions = Functions(self._workers)
        self._objects = ObjectTables(
            store, self._functions, None if directory is None else directory / OBJECT_TABLES_FILE
        )

    def close(self) -> None:
        """End the processes that run models."""
        self._workers.close()

    # Statements

    def parse(
        self, sql: str, *, project: str, default_dataset: str | None
    ) -> ModelStatement | ObjectTableStatement | None:
        """Return the statement in ``sql`` if it is about a model or an external table, or None.

        Args:
            sql: One statement of GoogleSQL.
            project: The project of names without one.
            default_dataset: The dataset of names without one (``project.dataset`` or ``dataset``), or None.

        Raises:
            QueryError: It is such a statement and is not valid.
        """
        return parse_statement(sql, project=project, default_dataset=default_dataset) or parse_object_table(
            sql, project=project, default_dataset=default_dataset
        )

    def execute(
        self, statement: ModelStatement | ObjectTableStatement, session: Session, *, dry_run: bool
    ) -> ModelResult:
        """Run a statement that ``parse`` returned.

        Args:
            statement: The statement.
            session: The job that runs it.
            dry_run: Whether to validate the statement without running it.

        Raises:
            QueryError: The statement failed.
        """
        match statement:
            case CreateObjectTable():
                return self._create_object_table(statement, session, dry_run=dry_run)
            case DropExternalTable():
                return self._drop_external_table(statement, session, dry_run=dry_run)
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
        statement = replace(statement, options=_evaluated(statement.options, session))
        remote = statement.connection is not None
        options = None if remote else import_options(statement)
        location = _location(statement.reference, session)
        info = remote_model_info(statement, location, self._served) if remote else {}
        if remote:
            self._connections.require(info["connection"])
            check_location(info["connection"], location, f"dataset {reference.project}:{reference.dataset}")
        # A model can't have the name of a table or view.
        if table_exists(TableName(reference.project, reference.dataset, reference.model), session):
            raise QueryError(f"Already Exists: Table {reference}", reason="duplicate")
        present = self.models.find(reference)
        if present is not None and statement.mode is CreateMode.IF_NOT_EXISTS:
            return ModelResult("CREATE_MODEL", "SKIP", reference.resource())
        if present is not None and statement.mode is CreateMode.CREATE:
            raise already_exists(reference)
        operation = "CREATE" if present is None else "REPLACE"
        self.models.check_replaceable(reference, None if options is None else options.vertex_id)
        if not dry_run and options is None:
            self._create_remote(statement, info, location)
        elif not dry_run and options is not None:
            self._import(statement, options, session, location)
        kind = "MODEL_TYPE_UNSPECIFIED" if options is None else options.type
        training = {"modelType": kind, "trainingType": "SINGLE_TRAINING"}
        return ModelResult("CREATE_MODEL", operation, reference.resource(), {"mlStatistics": training})

    def _create_remote(self, statement: CreateModel, info: dict[str, Any], location: str) -> None:
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
        table = statement.table
        location = session.dataset_location(table.project, table.dataset)
        connection = connection_name(statement.connection, session.project, location)
        self._connections.require(connection)
        check_location(connection, location, f"dataset {table.project}:{table.dataset}")
        statement = replace(statement, connection=connection)
        operation = self._objects.create(statement, session, dry_run=dry_run)
        return ModelResult("CREATE_EXTERNAL_TABLE", operation, None, {"ddlTargetTable": table.reference()})

    def _drop_external_table(self, statement: DropExternalTable, session: Session, *, dry_run: bool) -> ModelResult:
        table = statement.table
        session.dataset_location(table.project, table.dataset)
        operation = self._objects.drop(statement, session, dry_run=dry_run)
        return ModelResult("DROP_EXTERNAL_TABLE", operation, None, {"ddlTargetTable": table.reference()})

    def _import(self, statement: CreateModel, options: ImportOptions, session: Session, location: str) -> None:
        started = self._clock.now()
        version, files = self.models.begin()
        try:
            fetch(options, self._store, files, lambda: _check_running(session))
            name = str(statement.reference)
            signature = self._workers.load(version, options.type, files, options.declared, name, session.cancelled)
            _check_running(session)
            resource: dict[str, Any] = {
                "modelReference": statement.reference.resource(),
                "modelType": options.type,
                "location": location,
                "creationTime": str(milliseconds(self._clock.now())),
                "lastModifiedTime": str(milliseconds(self._clock.now())),
                "featureColumns": [feature.standard_sql_field() for feature in signature.inputs],
                "labelColumns": [feature.standard_sql_field() for feature in signature.outputs],
                "trainingRuns": [_training_run(options, started)],
            }
            if options.kms_key is not None:
                resource["encryptionConfiguration"] = {"kmsKeyName": options.kms_key}
            model = Model(statement.reference, version, options.type, resource, files, signature)
            self.models.commit(model, replacing=statement.mode is CreateMode.REPLACE)
        except InvalidModel as error:
            self._discard(version)
            raise QueryError(str(error), location="query") from error
        except BaseException:
            self._discard(version)
            raise

    def _discard(self, version: str) -> None:
        self._workers.discard(version)
        self.models.discard(version)

    def _drop(self, statement: DropModel, *, dry_run: bool) -> ModelResult:
        reference = statement.reference
        if statement.if_exists and self.models.find(reference) is None:
            return ModelResult("DROP_MODEL", "SKIP")
        self.models.require(reference)
        self.models.check_replaceable(reference, None)
        if not dry_run:
            self.models.delete(reference.project, reference.dataset, reference.model)
        return ModelResult("DROP_MODEL", "DROP")

    def _alter(self, statement: AlterModel, session: Session, *, dry_run: bool) -> ModelResult:
        if statement.if_exists and self.models.find(statement.reference) is None:
            return ModelResult("ALTER_MODEL", "SKIP")
        model = self.models.require(statement.reference)
        options = _evaluated(statement.options, session)
        if dry_run:
            apply_options(dict(model.resource), options)
        else:
            self.models.update(statement.reference, lambda resource: apply_options(resource, options))
        return ModelResult("ALTER_MODEL", "ALTER")

    def _export(self, statement: ExportModel, session: Session, *, dry_run: bool) -> ModelResult:
        options = _evaluated(statement.options, session)
        export(self.models.require(statement.reference), options, self._store, dry_run=dry_run)
        return ModelResult("EXPORT_MODEL")

    # Predictions

    def predict_instances(self, reference: ModelReference, instances: list[Any]) -> list[Any]:
        """Return the predictions for JSON instances, as an endpoint of Vertex AI does.

        Raises:
            QueryError: The model does not exist, an instance does not match it, or the model failed.
        """
        return predict_instances(self.models.require(reference), instances, self._workers)

    # Tables

    def is_model(self, name: TableName) -> bool:
        """Return whether a model has this name."""
        return self.models.find(ModelReference(name.project, name.dataset, name.table)) is not None

    def external_data(self, table: TableName, connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
        """Return the ``externalDataConfiguration`` of an object table, or None if ``table`` is not one."""
        return self._objects.external_data(table, connection)

    # Functions

    def uses_models(self, sql: str) -> bool:
        """Return False if ``sql`` can use neither an ML function nor an object table. This check is fast."""
        return may_call_functions(sql) or self._objects.may_be_named_in(sql)

    def rewrite(self, sql: str, session: Session, *, dry_run: bool) -> str:
        """Return a statement without ML functions and object tables.

        Args:
            sql: One statement of GoogleSQL.
            session: The job that runs it.
            dry_run: Whether the statement is only planned; it then loads and calls no model.

        Raises:
            QueryError: A model does not exist, or an input does not match it.
        """
        rewriter = Rewriter(
            sql,
            session,
            models=self.models,
            functions=self._functions,
            objects=self._objects,
            connections=self._connections,
            backend=self._backend,
            served=self._served,
            dry_run=dry_run,
        )
        return rewriter.rewrite()


def _location(reference: ModelReference, session: Session) -> str:
    """Return the location of a model's dataset. Hidden datasets for query results have the location of the job."""
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


def _evaluated(options: Mapping[str, OptionValue], session: Session) -> dict[str, OptionValue]:
    """Return the values of options; those that are expressions, such as ``CONCAT('a', @b)``, are evaluated.

    Raises:
        QueryError: An expression is not valid, or names a column.
    """
    return {name: _value(option, session) for name, option in options.items()}


def _value(option: OptionValue, session: Session) -> OptionValue:
    if not isinstance(option, Expression):
        return option
    session.describe(f"SELECT {option.sql}")
    row = session.connection.execute(*session.bind(session.translate(f"SELECT {option.sql}"))).fetchone()
    result: OptionValue = None if row is None else row[0]
    return result
