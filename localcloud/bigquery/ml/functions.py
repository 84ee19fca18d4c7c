"""Imported models as functions of DuckDB, one per version of a model, that take and give Arrow arrays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.catalog import Model
from localcloud.bigquery.ml.inference import Predictor
from localcloud.bigquery.ml.runtimes.base import ModelRefused, Runtime
from localcloud.bigquery.ml.runtimes.loading import load
from localcloud.bigquery.sql.function_errors import raising

# How many models stay loaded: each may take hundreds of megabytes.
LOADED_MODELS = 8


class Functions:
    """The functions that a database has been given, and the models behind them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._known: set[str] = set()
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}

    def register(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        function: Callable[..., pa.Array],
        parameters: list[str],
        returns: str,
    ) -> str:
        """Give the database of ``connection`` a function over Arrow arrays, once; return its name.

        Args:
            connection: Any connection to the database.
            name: The function's name.
            function: Takes one Arrow array per parameter, of the same length, and returns one.
            parameters: DuckDB types.
            returns: The DuckDB type of what it returns.
        """
        with self._lock:
            if self._connection is None:
                # A connection of its own: a function goes with the connection it was made on, and with its transaction.
                self._connection = connection.cursor()
            if name not in self._known:
                # Volatile, so that it runs once per row and never while a query is only planned.
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
        """Give the database the function that predicts with this version of a model; return the function's name.

        Its parameters are the model's inputs in order; it returns a STRUCT of the outputs.
        """
        signature = model.signature
        if signature is None:
            raise ValueError(f"{model.reference} has no signature")
        names = [feature.name for feature in signature.inputs]

        def predict(*columns: pa.Array) -> pa.Array:
            outputs = self.predictor(model).predict(dict(zip(names, columns, strict=True)))
            return pa.StructArray.from_arrays(list(outputs.values()), list(outputs))

        fields = ", ".join(f"{_quoted(feature.name)} {feature.duckdb_type}" for feature in signature.outputs)
        parameters = [feature.duckdb_type for feature in signature.inputs]
        return self.register(connection, f"ml_predict_{model.version}", predict, parameters, f"STRUCT({fields})")

    def predictor(self, model: Model) -> Predictor:
        """Return the loaded model, which is kept for the next time.

        Raises:
            QueryError: Its files can't be loaded.
        """
        with self._lock:
            known = self._predictors.get(model.version)
            if known is not None:
                self._predictors.move_to_end(model.version)
                return known
            loading = self._loading.setdefault(model.version, threading.Lock())
        with loading:
            with self._lock:
                known = self._predictors.get(model.version)
            if known is not None:
                return known
            try:
                runtime = _loaded(model)
            except ModelRefused as error:
                raise QueryError(f"Model {model.reference} can't be loaded: {error}", reason="internalError") from error
            predictor = Predictor(runtime, str(model.reference))
            with self._lock:
                self._predictors[model.version] = predictor
                while len(self._predictors) > LOADED_MODELS:
                    self._predictors.popitem(last=False)
                self._loading.pop(model.version, None)
            return predictor


def _loaded(model: Model) -> Runtime:
    """Load a model in a thread of its own. Raises ``ModelRefused``.

    Who asks may be one of DuckDB's threads, which Python knows only while it runs in them. TensorFlow keeps hold of what
    Python knew of the thread that first imported it, and takes the process down when that thread comes again.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="model-loading") as thread:
        return thread.submit(load, model.type, model.files, declared=model.signature).result()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
