"""Query jobs: what BigQuery does with each kind of statement, and what it says of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.ddl_sync import sync_created_table, sync_created_view
from bqemulator.domain.errors import DomainError
from bqemulator.scripting.ast import SqlStmt
from bqemulator.scripting.parser import parse_script
from sqlglot import exp

from localcloud.bigquery.destinations import Destinations, Disposition, Source, refuse_duplicates
from localcloud.bigquery.engine import Cancelled, Engine
from localcloud.bigquery.errors import QueryError
from localcloud.bigquery.failures import query_error
from localcloud.bigquery.jobs import Job, milliseconds
from localcloud.bigquery.results import NO_ROWS, AnonymousTables, Rows, RowsInMemory, RowsInTable
from localcloud.bigquery.schema import Field, field_of
from localcloud.bigquery.session import Session
from localcloud.bigquery.sizes import Sizes, billed
from localcloud.bigquery.statement import DDL_OPERATIONS, DML_TYPES, Statement, TableName, read_statement
from localcloud.bigquery.statements import Statements

if TYPE_CHECKING:
    import pyarrow as pa

    from localcloud.bigquery.ml import MachineLearning
    from localcloud.storage import ObjectStore

_STREAM = "model_stream"
_DML_COUNTER = {
    "INSERT": "insertedRowCount",
    "UPDATE": "updatedRowCount",
    "DELETE": "deletedRowCount",
    "TRUNCATE_TABLE": "deletedRowCount",
}


@dataclass
class Outcome:
    """What a query job came to: its rows, where they are, and its ``statistics.query``."""

    rows: Rows = NO_ROWS
    destination: TableName | None = None
    written: int | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    script_statements: int | None = None


class QueryJobs:
    """Runs query jobs and dry runs."""

    def __init__(
        self,
        context: AppContext,
        learning: MachineLearning,
        destinations: Destinations,
        anonymous: AnonymousTables,
        sizes: Sizes,
        store: ObjectStore,
    ) -> None:
        self._context = context
        self._learning = learning
        self._destinations = destinations
        self._anonymous = anonymous
        self._sizes = sizes
        self._store = store
        self._engine: Engine = destinations.engine

    def run(self, job: Job) -> None:
        """Run a query job on the calling thread's cursor; its rows and statistics are then in the job.

        Raises:
            QueryError: The query failed.
        """
        query = job.configuration["query"]
        statements, session = self._prepare(job, dry_run=False)
        outcome = Outcome()
        try:
            outcome = self._perform(job, query, statements, session)
        finally:
            job.statistics = self._statistics(job, query, outcome)
        job.result = outcome.rows
        if outcome.destination is not None:
            query.setdefault("destinationTable", outcome.destination.reference())

    def dry_run(self, job: Job) -> None:
        """Look at a query without running it; what is found is then in the job's statistics.

        Raises:
            QueryError: It is not valid, or names what is not there.
        """
        query = job.configuration["query"]
        statements, session = self._prepare(job, dry_run=True)
        sql = job.dialect_sql or query["query"]
        model = self._learning.parse(sql, project=statements.project, default_dataset=statements.default_dataset)
        found: dict[str, Any]
        if model is not None:
            result = self._learning.execute(model, session, dry_run=True)
            found = {"statementType": result.statement_type, "totalBytesProcessed": "0"} | result.statistics
        elif is_script(sql):
            found = {"statementType": "SCRIPT", "totalBytesProcessed": "0", "totalBytesProcessedAccuracy": "UNKNOWN"}
        else:
            found = self._look_at(sql, query, statements)
        job.statistics = {"totalBytesProcessed": found.get("totalBytesProcessed", "0"), "query": found}

    def _look_at(self, sql: str, query: dict[str, Any], statements: Statements) -> dict[str, Any]:
        prepared = statements.prepare(sql)
        statement = read_statement(prepared, project=statements.project)
        found = self._described(statement)
        found["totalBytesProcessedAccuracy"] = "PRECISE"
        schema = self._schema_of(statement, statements, sql)
        if schema is not None:
            found["schema"] = {"fields": schema}
        if statement.target is not None and statement.kind in DDL_OPERATIONS:
            found["ddlOperationPerformed"] = DDL_OPERATIONS[statement.kind]
            found["ddlTargetTable"] = statement.target.reference()
        if query.get("destinationTable") and statement.is_query:
            target = TableName.of(query["destinationTable"], statements.project)
            self._destinations.check_target(target, Disposition.of(query), statements.location)
        self._check_billing(query, statement)
        return found

    def _schema_of(self, statement: Statement, statements: Statements, original: str) -> list[Field] | None:
        """Return the schema that a statement's result or target has, finding out whether it is valid on the way."""
        if statement.is_query:
            duckdb_sql = statements.translate_prepared(statement.sql, original)
            columns = _named(statements.columns(duckdb_sql, original), statement)
            refuse_duplicates(columns)
            return [field_of(*column) for column in columns]
        body = statement.tree.args.get("expression") if statement.tree is not None else None
        if statement.kind in ("CREATE_TABLE_AS_SELECT", "CREATE_VIEW") and isinstance(body, exp.Query):
            query = read_statement(body.sql(dialect="bigquery"), project=statements.project)
            return self._schema_of(query, statements, original)
        if statement.kind in DML_TYPES and statement.kind != "TRUNCATE_TABLE":
            duckdb_sql = statements.translate_prepared(statement.sql, original)
            bound, values = statements.bind(duckdb_sql)
            try:
                self._engine.execute(f"EXPLAIN {bound}", values).fetchall()
            except Exception as error:
                raise query_error(error, sql=original, duckdb_sql=duckdb_sql, location=statements.location) from error
        return None

    # Running

    def export_model(self, job: Job, model: dict[str, str], uri: str) -> None:
        """Write a model's files to a bucket, as EXPORT MODEL does. Raises ``QueryError``."""
        name = f"`{model.get('projectId') or job.key.project}.{model['datasetId']}.{model['modelId']}`"
        statements, session = self._prepare(job, dry_run=False)
        export = self._learning.parse(
            f"EXPORT MODEL {name} OPTIONS(URI = '{uri}')", project=statements.project, default_dataset=None
        )
        if export is not None:
            self._learning.execute(export, session, dry_run=False)

    def _prepare(self, job: Job, *, dry_run: bool) -> tuple[Statements, Session]:
        query = job.configuration.get("query", {})
        self._anonymous.materialise_mentioned(query.get("query", ""))
        default = query.get("defaultDataset") or {}
        default_dataset = None
        if default.get("datasetId"):
            default_dataset = f"{default.get('projectId') or job.key.project}.{default['datasetId']}"
        statements = Statements(
            self._context,
            self._learning,
            project=job.key.project,
            default_dataset=default_dataset,
            location=job.key.location,
            parameters=query.get("queryParameters"),
            user=job.user,
            dry_run=dry_run,
        )
        session = Session(
            project=job.key.project,
            default_dataset=default_dataset,
            job_id=job.key.id,
            location=job.key.location,
            connection=self._engine.connection,
            statements=statements,
            locate=self.location_of,
            cancelled=job.stopped,
        )
        statements.session = session
        return statements, session

    def location_of(self, project: str, dataset: str) -> str | None:
        """Return where a dataset is, or None."""
        meta = self._context.catalog.get_dataset(project, dataset)
        return meta.location if meta is not None else None

    def _perform(self, job: Job, query: dict[str, Any], statements: Statements, session: Session) -> Outcome:
        sql = job.dialect_sql or query["query"]
        model = self._learning.parse(sql, project=statements.project, default_dataset=statements.default_dataset)
        if model is not None:
            return self._run_model_statement(model, session)
        if is_script(sql):
            return self._run_script(job, sql, statements)
        original = read_statement(statements.qualify(sql), project=statements.project)
        self._check_locations(original, job.key.location)
        if original.is_query:
            return self._run_select(job, query, statements, original)
        if original.kind == "CREATE_TABLE_AS_SELECT" and _plain_target(original) is not None:
            return self._run_create_as(query, statements, original)
        if original.kind == "CREATE_VIEW" and self._learning.uses_models(original.sql):
            return self._run_create_view(statements, original)
        return self._run_other(query, statements, original)

    def _run_model_statement(self, model: Any, session: Session) -> Outcome:
        result = self._learning.execute(model, session, dry_run=False)
        statistics = {"statementType": result.statement_type, "totalBytesProcessed": "0"} | result.statistics
        if result.ddl_operation:
            statistics["ddlOperationPerformed"] = result.ddl_operation
        destination = None
        if result.destination:
            # The job's destination is the model, in the shape of a table reference.
            model_reference = result.destination
            destination = TableName(
                model_reference["projectId"], model_reference["datasetId"], model_reference["modelId"]
            )
        return Outcome(destination=destination, statistics=statistics)

    def _run_script(self, job: Job, sql: str, statements: Statements) -> Outcome:
        table, count = statements.run_script(sql)
        rows = self._hold(job, table)
        statistics = {"statementType": script_type(sql), "totalBytesProcessed": "0"}
        name = self._anonymous.name_for(job.key)
        return Outcome(rows, name, statistics=statistics, script_statements=count)

    def _run_select(self, job: Job, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        target = query.get("destinationTable")
        if target:
            name = TableName.of(target, statements.project)
            disposition = Disposition.of(query)
            # Before the query runs: it may be long.
            self._destinations.check_target(name, disposition, job.key.location)
            statement, written = self._write(query, statements, original, name, disposition)
            fields = [field_of(*row[:2]) for row in self._engine.execute(f"DESCRIBE {name.quoted}").fetchall()]
            return Outcome(RowsInTable(fields, self._engine, name), name, written, self._described(statement))
        statement = read_statement(statements.prepare(original.sql), project=statements.project)
        self._check_billing(query, statement)
        duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
        bound, values = statements.bind(duckdb_sql)
        name = self._anonymous.name_for(job.key)
        try:
            names = original.column_names()
            described = None
            if names is None:
                described = [column for column, _ in statements.columns(duckdb_sql, original.sql)]
            refuse_duplicates([(column, None) for column in names or described or []])
            rows = self._anonymous.keep(name, bound, values, names, job.key.location)
        except Cancelled:
            raise
        except Exception as error:
            raise query_error(error, sql=original.sql, duckdb_sql=duckdb_sql, location=job.key.location) from error
        return Outcome(rows, name, statistics=self._described(statement))

    def _write(
        self,
        query: dict[str, Any],
        statements: Statements,
        original: Statement,
        name: TableName,
        disposition: Disposition,
    ) -> tuple[Statement, int]:
        """Write a query's rows into a table; return the statement that was run and the number of rows."""
        session = statements.require_session()
        stream = self._learning.stream(original.sql, session) if self._learning.uses_models(original.sql) else None
        if stream is not None:
            return original, self._write_stream(stream, name, disposition, session)
        statement = read_statement(statements.prepare(original.sql), project=statements.project)
        self._check_billing(query, statement)
        duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
        bound, values = statements.bind(duckdb_sql)
        columns = _named(statements.columns(duckdb_sql, original.sql), original)
        try:
            written = self._destinations.write(
                name, Source(bound, values, tuple(columns)), disposition, location=session.location
            )
        except Cancelled:
            raise
        except Exception as error:
            raise query_error(error, sql=original.sql, duckdb_sql=duckdb_sql, location=session.location) from error
        return statement, written

    def _write_stream(
        self, stream: pa.RecordBatchReader, name: TableName, disposition: Disposition, session: Session
    ) -> int:
        self._engine.connection.register(_STREAM, stream)
        try:
            described = self._engine.execute(f"DESCRIBE SELECT * FROM {_STREAM}").fetchall()
            source = Source(f"SELECT * FROM {_STREAM}", None, tuple((row[0], row[1]) for row in described))
            return self._destinations.write(name, source, disposition, location=session.location)
        except Cancelled:
            raise
        except Exception as error:
            raise query_error(error, location=session.location) from error
        finally:
            self._engine.connection.unregister(_STREAM)

    def _run_create_as(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        """CREATE TABLE AS SELECT: the query goes the way of a destination table, which is made or replaced by it."""
        create = original.tree
        target = original.target
        assert isinstance(create, exp.Create) and target is not None
        existing = self._destinations.get(target)
        operation = "CREATE"
        if existing is not None:
            if create.args.get("exists"):
                return Outcome(statistics=self._described(original) | _ddl("SKIP", target))
            if not create.args.get("replace"):
                raise QueryError(f"Already Exists: Table {target}", reason="duplicate")
            operation = "REPLACE"
        body = create.expression
        start = _body_start(original.sql, body)
        inner_sql = original.sql[start:] if start is not None else body.sql(dialect="bigquery")
        inner = read_statement(inner_sql, project=statements.project)
        statement, written = self._write(query, statements, inner, target, Disposition(write="WRITE_TRUNCATE"))
        # bqemulator reads description, partitioning and the like from the statement's head.
        head = create.copy()
        head.set("expression", exp.select("1"))
        sync_created_table(head.sql(dialect="bigquery"), statements.project, self._context)
        self._destinations.tidy(target)
        statistics = self._described(statement) | {"statementType": "CREATE_TABLE_AS_SELECT"} | _ddl(operation, target)
        return Outcome(NO_ROWS, target, written, statistics)

    def _run_create_view(self, statements: Statements, original: Statement) -> Outcome:
        """A view over a model: DuckDB gets a table of its columns to know them by; its query is put in its place."""
        create = original.tree
        target = original.target
        if not isinstance(create, exp.Create) or target is None:
            raise QueryError("Syntax error: CREATE VIEW needs a dataset-qualified name and a query")
        existing = self._destinations.get(target)
        if existing is not None and create.args.get("exists"):
            return Outcome(statistics=self._described(original) | _ddl("SKIP", target))
        if existing is not None and not create.args.get("replace"):
            raise QueryError(f"Already Exists: Table {target}", reason="duplicate")
        fields = statements.describe(create.expression.sql(dialect="bigquery"))
        selected = ", ".join(f"CAST(NULL AS {_type(f)}) AS `{f['name']}`" for f in fields)
        head = create.copy()
        head.set("expression", exp.maybe_parse(f"SELECT {selected}", dialect="bigquery"))
        statements.execute(head.sql(dialect="bigquery"), original.sql)
        sync_created_view(original.sql, statements.project, self._context)
        self._destinations.describe_view(target, fields)
        operation = "CREATE" if existing is None else "REPLACE"
        return Outcome(statistics=self._described(original) | _ddl(operation, target))

    def _run_other(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        prepared = statements.prepare(original.sql)
        statement = read_statement(prepared, project=statements.project)
        self._check_billing(query, statement)
        with self._destinations.writing(statement.target):
            table, fields, statistics = statements.execute(prepared, original.sql)
            if statement.target is not None and statement.kind in (
                "CREATE_TABLE",
                "CREATE_TABLE_AS_SELECT",
                "ALTER_TABLE",
            ):
                self._destinations.tidy(statement.target)
        statistics.pop("totalRows", None)
        described = statistics | self._described(statement)
        if statement.kind in DDL_OPERATIONS and statement.target is not None:
            described |= _ddl(statistics.get("ddlOperationPerformed", DDL_OPERATIONS[statement.kind]), statement.target)
        affected = statistics.get("numDmlAffectedRows")
        if affected is not None and statement.kind in _DML_COUNTER:
            described["dmlStats"] = {_DML_COUNTER[statement.kind]: affected}
        written = int(affected) if affected is not None else None
        return Outcome(RowsInMemory(fields, table), statement.target, written, described)

    def _hold(self, job: Job, table: pa.Table) -> Rows:
        from bqemulator.jobs.executor import build_response_schema

        if not table.num_columns:
            return NO_ROWS
        return self._anonymous.hold(
            self._anonymous.name_for(job.key), RowsInMemory(build_response_schema(table.schema), table)
        )

    # Checking and telling

    def _check_locations(self, statement: Statement, location: str) -> None:
        """Refuse datasets that are somewhere else than the job. Raises ``QueryError``."""
        for name in statement.tables:
            place = self.location_of(name.project, name.dataset)
            if place is not None and place.upper() != location.upper():
                raise QueryError(
                    f"Not found: Dataset {name.project}:{name.dataset} was not found in location {location}",
                    reason="notFound",
                )

    def _check_billing(self, query: dict[str, Any], statement: Statement) -> None:
        """Refuse a query that would read more than it may. Raises ``QueryError``."""
        limit = query.get("maximumBytesBilled")
        if limit is None:
            return
        needed = billed(self._sizes.query(statement), len(statement.tables))
        if needed > int(limit):
            raise QueryError(
                f"Query exceeded limit for bytes billed: {limit}. {needed} or higher required.",
                reason="bytesBilledLimitExceeded",
            )

    def _described(self, statement: Statement) -> dict[str, Any]:
        """Return what ``statistics.query`` says of any statement."""
        read = [name for name in statement.tables if name != statement.target or statement.kind in DML_TYPES]
        processed = self._sizes.query(statement)
        described: dict[str, Any] = {
            "totalBytesProcessed": str(processed),
            "totalBytesBilled": str(billed(processed, len(read))),
            "cacheHit": False,
        }
        if statement.kind:
            described["statementType"] = statement.kind
        if read:
            described["referencedTables"] = [name.reference() for name in read]
        return described

    def _statistics(self, job: Job, query: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
        """Return the job's ``statistics``: https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics"""
        now = self._context.clock.now()
        started = job.started or now
        elapsed = max(1, milliseconds(now) - milliseconds(started))
        details = {"totalBytesProcessed": "0", "totalBytesBilled": "0", "cacheHit": False} | outcome.statistics
        details["totalSlotMs"] = str(elapsed)
        details["totalPartitionsProcessed"] = "0"
        details["billingTier"] = 1
        if outcome.written is not None:
            details["queryPlan"] = [_stage(outcome.written, started, now, elapsed)]
        statistics: dict[str, Any] = {
            "totalBytesProcessed": details["totalBytesProcessed"],
            "totalSlotMs": str(elapsed),
            "query": details,
        }
        if outcome.script_statements is not None:
            statistics["numChildJobs"] = "0"
        return statistics


def is_script(sql: str) -> bool:
    """Return whether ``sql`` is more than one plain statement. Raises ``QueryError`` if it can't be read."""
    try:
        parsed = parse_script(sql).statements
    except DomainError as error:
        raise query_error(error, sql=sql) from error
    if not parsed:
        raise QueryError("Syntax error: Unexpected end of statement")
    return len(parsed) != 1 or not isinstance(parsed[0], SqlStmt)


def script_type(sql: str) -> str:
    """Return the ``statementType`` of what runs as a script: SCRIPT, or what its only statement makes."""
    kind = read_statement(sql, project="").kind
    return kind if kind in ("CREATE_FUNCTION", "CREATE_TABLE_FUNCTION", "CREATE_PROCEDURE") else "SCRIPT"


def _named(columns: list[tuple[str, str]], statement: Statement) -> list[tuple[str, str]]:
    names = statement.column_names()
    if names is None or len(names) != len(columns):
        return columns
    return [(name or column, kind) for name, (column, kind) in zip(names, columns, strict=True)]


def _plain_target(statement: Statement) -> TableName | None:
    """Return the table that a CREATE TABLE AS makes, unless it is temporary or has its columns declared."""
    create = statement.tree
    if not isinstance(create, exp.Create) or not isinstance(create.this, exp.Table):
        return None
    properties = create.args.get("properties")
    if properties is not None and properties.find(exp.TemporaryProperty):
        return None
    return statement.target


def _body_start(sql: str, body: exp.Expression) -> int | None:
    """Return where the query of a CREATE TABLE AS begins in its text, which is kept as the client wrote it."""
    import re

    for match in re.finditer(r"\bAS\s+(?=[(]|SELECT\b|WITH\b|FROM\b)", sql, re.IGNORECASE):
        rest = read_statement(sql[match.end() :], project="")
        if rest.tree is not None and rest.tree.sql(dialect="bigquery") == body.sql(dialect="bigquery"):
            return match.end()
    return None


def _type(f: Field) -> str:
    """Return the GoogleSQL type of a field."""
    names = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
    inner = names.get(f["type"], f["type"])
    if f["type"] == "RECORD":
        inner = "STRUCT<" + ", ".join(f"`{child['name']}` {_type(child)}" for child in f["fields"]) + ">"
    return f"ARRAY<{inner}>" if f.get("mode") == "REPEATED" else inner


def _ddl(operation: str, target: TableName) -> dict[str, Any]:
    return {"ddlOperationPerformed": operation, "ddlTargetTable": target.reference()}


def _stage(written: int, started: Any, ended: Any, elapsed: int) -> dict[str, Any]:
    """Return the one stage of our query plans, whose ``recordsWritten`` is the number of rows written."""
    return {
        "name": "S00: Output",
        "id": "0",
        "status": "COMPLETE",
        "startMs": str(milliseconds(started)),
        "endMs": str(milliseconds(ended)),
        "recordsRead": str(written),
        "recordsWritten": str(written),
        "parallelInputs": "1",
        "completedParallelInputs": "1",
        "shuffleOutputBytes": "0",
        "shuffleOutputBytesSpilled": "0",
        "slotMs": str(elapsed),
        "steps": [],
    }
