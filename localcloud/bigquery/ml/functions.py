"""Registers DuckDB functions over Arrow arrays, among them one for each version of an imported model."""

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
from localcloud.bigquery.ml.model_errors import InvalidModel
from localcloud.bigquery.ml.runtimes.base import Runtime
from localcloud.bigquery.ml.runtimes.loading import load
from localcloud.bigquery.sql.function_errors import raising

# The number of models that stay loaded. Each can use hundreds of megabytes.
LOADED_MODELS = 8


class Functions:
    """The registered functions of a database, and the loaded models that they call."""

    def __init__(self) -> None:
        """Create an empty set of functions."""
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

        Its parameters are the model's inputs in order. It returns a STRUCT of the outputs.
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
        """Return the model, loaded; load it if needed and keep it for the next call.

        Raises:
            QueryError: The model's files can't be loaded.
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
                runtime = _load_in_new_thread(model)
            except InvalidModel as error:
                raise QueryError(f"Model {model.reference} can't be loaded: {error}", reason="internalError") from error
            predictor = Predictor(runtime, str(model.reference))
            with self._lock:
                self._predictors[model.version] = predictor
                while len(self._predictors) > LOADED_MODELS:
                    self._predictors.popitem(last=False)
                self._loading.pop(model.version, None)
            return predictor


def _load_in_new_thread(model: Model) -> Runtime:
    """Load a model in a new thread.

    The caller can be one of DuckDB's threads, which have a Python thread state only while they run Python code.
    TensorFlow keeps the state of the thread that first imports it, and crashes the process when that thread returns.

    Raises:
        InvalidModel: The model's files can't be loaded.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="model-loading") as thread:
        return thread.submit(load, model.type, model.files, declared=model.signature).result()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
