"""Registers routines in JavaScript as functions of DuckDB."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import duckdb
import pyarrow as pa
from bqemulator.catalog.models import RoutineMeta
from bqemulator.storage.engine import DuckDBEngine
from bqemulator.udf.naming import qualified_routine_name
from duckdb.func import FunctionNullHandling, PythonUDFType

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.javascript.processes import JavaScriptWorkers, Program
from localcloud.bigquery.javascript.types import Type
from localcloud.bigquery.sql.errors.function_errors import raising

# The datasets that bqemulator creates for temporary functions.
_TEMPORARY = "_bqemu_temp_"


class JavaScriptFunctions:
    """The functions in JavaScript of a database.

    Each is a Python function with a name of its own, and a macro with the name of the routine. So a routine can replace one
    in another language.
    """

    def __init__(self) -> None:
        """Create an empty set of functions."""
        self._workers = JavaScriptWorkers()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._registered: dict[str, str] = {}

    def materialize(self, routine: RoutineMeta, engine: DuckDBEngine) -> None:
        """Create or replace the function of a routine. Raises ``QueryError`` if it has a type that can't be used."""
        name = qualified_routine_name(routine)
        with self._lock:
            program = _program(routine, next(self._numbers))
            # A separate connection, because a function belongs to its connection and is rolled back with it.
            self._connection = self._connection or engine.connection.cursor()
            # Without a parameter, DuckDB would not say for how many rows it calls a function.
            kinds = [kind.carried for _, kind in program.parameters] or ["BOOLEAN"]
            self._connection.create_function(
                program.key,
                raising(self._caller(program), len(kinds)),
                kinds,  # type: ignore[arg-type]  # the stubs want an invariant list of types
                program.result.carried,
                type=PythonUDFType.ARROW,
                null_handling=FunctionNullHandling.SPECIAL,
                # DuckDB calls a function with side effects once per row, and never while it plans a query.
                side_effects=True,
            )
            parameters = [quote(parameter) for parameter, _ in program.parameters]
            engine.execute(f"CREATE OR REPLACE MACRO {quote(name)}({', '.join(parameters)}) AS {_call(program)}")
            self._remove(name)
            self._registered[name] = program.key

    def deregister(self, routine: RoutineMeta, engine: DuckDBEngine) -> None:
        """Drop the function of a routine, if it exists."""
        name = qualified_routine_name(routine)
        engine.execute(f"DROP MACRO IF EXISTS {quote(name)}")
        with self._lock:
            self._remove(name)

    def _remove(self, name: str) -> None:
        key = self._registered.pop(name, None)
        if key is not None and self._connection is not None:
            self._connection.remove_function(key)

    def _caller(self, program: Program) -> Callable[..., pa.Array]:
        def call(*columns: pa.Array) -> pa.Array:
            # A function without parameters gets one column, which it ignores.
            encoded = [
                [kind.encode(value) for value in column.to_pylist()]
                for (_, kind), column in zip(program.parameters, columns, strict=False)
            ]
            rows = [[column[row] for column in encoded] for row in range(len(columns[0]))]
            return pa.array(self._workers.call(program, rows), program.result.arrow)

        return call

    def close(self) -> None:
        """End the processes of the functions."""
        self._workers.close()
        if self._connection is not None:
            self._connection.close()


def _call(program: Program) -> str:
    """Return the call of a program's Python function with the parameters of its macro."""
    arguments = [_cast(quote(name), kind.duckdb, kind.carried) for name, kind in program.parameters]
    call = f"{quote(program.key)}({', '.join(arguments or ['TRUE'])})"
    return _cast(call, program.result.carried, program.result.duckdb)


def _cast(value: str, of: str, to: str) -> str:
    return value if of == to else f"CAST({value} AS {to})"


def check_function(routine: RoutineMeta) -> None:
    """Check a routine in JavaScript before it is stored; other routines pass.

    Raises:
        QueryError: It can't be carried out, for example because of a type.
    """
    if routine.language == "JAVASCRIPT":
        _program(routine, 0)


def _program(routine: RoutineMeta, number: int) -> Program:
    """Return the program of a routine.

    Raises:
        QueryError: A type can't be used, the routine has no type of its result, or it needs libraries.
    """
    if routine.imported_libraries:
        raise QueryError("Libraries of JavaScript functions are not supported by the local BigQuery", location="query")
    if routine.return_type is None:
        raise QueryError("Non-SQL functions must specify a return type", location="query")
    parameters = tuple((argument.name, Type.of(argument.data_type)) for argument in routine.arguments)
    owner = "" if routine.dataset_id.startswith(_TEMPORARY) else f"{routine.dataset_id}."
    return Program(
        # The message of a wrong call names the routine (see ``wording``).
        key=f"javascript_{number}_{routine.routine_id}",
        signature=f"{owner}{routine.routine_id}({', '.join(kind.sql for _, kind in parameters)})",
        body=routine.definition_body,
        parameters=parameters,
        result=Type.of(routine.return_type),
    )
