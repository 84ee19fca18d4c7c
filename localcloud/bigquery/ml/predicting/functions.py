"""Registers DuckDB functions over Arrow arrays, among them one for each version of an imported model."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from weakref import WeakValueDictionary

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from localcloud.bigquery.base.call_statistics import CallStatistics
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.workers.pool import ModelWorkers
from localcloud.bigquery.sql.errors.function_errors import raising


class Functions:
    """The registered functions of a database."""

    def __init__(self, workers: ModelWorkers) -> None:
        """Create an empty set of functions.

        Args:
            workers: The processes that run models.
        """
        self.workers = workers
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._known: set[str] = set()
        self._numbers = itertools.count(1)
        self._jobs: WeakValueDictionary[int, threading.Event] = WeakValueDictionary()
        self._calls: WeakValueDictionary[int, CallStatistics] = WeakValueDictionary()

    def register(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., pa.Array],
        parameters: list[str],
        returns: str,
    ) -> str:
        """Register a function over Arrow arrays unless it is registered; return its name.

        Args:
            connection: Any connection to the database.
            name: The name of the function.
            function: Takes one Arrow array per parameter and returns one, all of the same length.
            parameters: The DuckDB types of the parameters.
            returns: The DuckDB type of the result.
        """
        with self._lock:
            if self._connection is None:
                # A separate connection, because a function belongs to its connection and is rolled back with it.
                self._connection = connection.cursor()
            if name not in self._known:
                # Side effects make DuckDB call the function once per row, and never while it plans a query.
                self._connection.create_function(
                    name,
                    raising(function, len(parameters)),
                    parameters,  # type: ignore[arg-type]  # the stubs want an invariant list of types
                    returns,
                    type=PythonUDFType.ARROW,
                    null_handling=FunctionNullHandling.SPECIAL,
                    side_effects=True,
                )
                self._known.add(name)
        return name

    def register_model(self, connection: duckdb.DuckDBPyConnection, model: Model) -> str:
        """Register the function that predicts with this version of a model; return the function's name.

        Its parameters are the number of the job (see ``job_number``) and the model's inputs in order. It returns a STRUCT of
        the outputs.
        """
        signature = model.signature
        if signature is None:
            raise ValueError(f"{model.reference} has no signature")
        names = [feature.name for feature in signature.inputs]

        def predict(jobs: pa.Array, *columns: pa.Array) -> pa.Array:
            if len(jobs) == 0:
                return pa.array([], _struct_type(signature))
            cancelled = self._jobs.get(jobs[0].as_py()) or threading.Event()
            outputs = self.workers.predict(model, dict(zip(names, columns, strict=True)), cancelled)
            return pa.StructArray.from_arrays(list(outputs.values()), list(outputs))

        fields = ", ".join(f"{_quoted(feature.name)} {feature.duckdb_type}" for feature in signature.outputs)
        parameters = ["BIGINT", *(feature.duckdb_type for feature in signature.inputs)]
        return self.register(connection, f"ml_predict_{model.version}", predict, parameters, f"STRUCT({fields})")

    def register_counted(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., pa.Array],
        parameters: list[str],
        returns: str,
        status: str,
    ) -> str:
        """Register a function whose rows are counted; return its name.

        Args:
            connection: Any connection to the database.
            name: The name of the function.
            function: Takes one Arrow array per parameter and returns an array of STRUCTs.
            parameters: The DuckDB types of the parameters after the first one, which is the number of the call.
            returns: The DuckDB type of the result.
            status: The field of the result that is empty if a row succeeded.
        """

        def counted(numbers: pa.Array, *arguments: pa.Array) -> pa.Array:
            answers = function(*arguments)
            statistics = self._calls.get(numbers[0].as_py()) if len(numbers) else None
            if statistics is not None:
                statistics.count(answers.field(status).to_pylist())
            return answers

        return self.register(connection, name, counted, ["BIGINT", *parameters], returns)

    def call_number(self, statistics: CallStatistics) -> int:
        """Return a number for a call, by which the function of ``register_counted`` finds its statistics."""
        number = next(self._numbers)
        self._calls[number] = statistics
        return number

    def job_number(self, cancelled: threading.Event) -> int:
        """Return a number for a job, by which the functions in its statements find the event that stops it.

        DuckDB calls a function in its own threads, without the connection, so the statement has to contain the job.
        """
        number = next(self._numbers)
        self._jobs[number] = cancelled
        return number


def counted_prefix(function: str) -> str:
    """Return the first part of the name of a counted function, from which messages take the function's name."""
    return f"ml_counted_{function.replace('.', '_').lower()}"


def _struct_type(signature: Signature) -> pa.DataType:
    return pa.struct([pa.field(feature.name, feature.arrow_type) for feature in signature.outputs])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
