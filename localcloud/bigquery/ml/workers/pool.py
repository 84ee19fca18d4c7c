"""The only door to models: loads them in workers, keeps those warm that were used last, and predicts batches with them.

A model has one worker, which the batches of all jobs share. When a job is cancelled and its batch does not end, the worker
is killed; batches of other jobs then run again in a new worker. A prediction has no side effects, so this is safe. When a
worker crashes, the job whose batch ran in it fails. If several jobs had batches in it, each batch runs again in a worker of
its own, so that only the job at fault fails.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.errors import InvalidModel, WorkerEnded
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.workers.processes import CHECK_SECONDS, Worker
from localcloud.bigquery.ml.workers.worker import Order

# The batches that a worker predicts at once. Each uses one core.
CHANNELS = max(2, min(4, os.cpu_count() or 2))

_NAMES = {
    "TENSORFLOW": "a TensorFlow",
    "ONNX": "an ONNX",
    "TENSORFLOW_LITE": "a TensorFlow Lite",
    "XGBOOST": "an XGBoost",
}


@dataclass(frozen=True)
class Limits:
    """The limits of workers.

    Attributes:
        workers: The number of workers at once; a job waits for one that is not in use.
        memory_bytes: The memory that a worker allocates, with its library. Google's limit for a loaded model is a quarter.
        load_seconds: The time to load a model, with the import of the library.
        batch_seconds: The time to predict one batch.
        cancel_seconds: The time that a cancelled job waits for the end of its batch before the worker is killed.
        idle_seconds: The time after which a worker without batches ends.
    """

    workers: int = 8
    memory_bytes: int = 4 * 1024**3 + (os.cpu_count() or 1) * 16 * 1024**2
    load_seconds: float = 300
    batch_seconds: float = 1800
    cancel_seconds: float = 0.3
    idle_seconds: float = 300


class _Entry:
    """A worker in the pool, which can still be loading.

    Attributes:
        worker: The worker, or None before it is forked.
        loaded: Set when the model is loaded, or can't be.
        users: The number of threads that use the worker or wait for it.
        running: For each batch in the worker, the event that stops its job.
        crashed: The jobs with a batch in the worker when it ended, or None.
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.loaded = threading.Event()
        self.users = 0
        self.running: list[threading.Event] = []
        self.crashed: frozenset[threading.Event] | None = None

    def end(self) -> None:
        """End the process. The last user closes its sockets."""
        if self.worker is not None:
            self.worker.end()
            if self.users == 0:
                self.worker.close()


class ModelWorkers:
    """The workers of a local BigQuery. Several threads use it at once."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Create the pool without workers."""
        self._limits = limits or Limits()
        self._changed = threading.Condition()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._closed = False
        weakref.finalize(self, _end_all, self._entries)

    def load(
        self,
        version: str,
        model_type: str,
        directory: Path,
        declared: Signature | None,
        name: str,
        cancelled: threading.Event,
    ) -> Signature:
        """Load a model that is being imported, and keep it for its first prediction; return its inputs and outputs.

        Args:
            version: The id of the version.
            model_type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``.
            directory: The folder of the model's files.
            declared: The inputs and outputs in the INPUT and OUTPUT clauses, or None.
            name: The name of the model, for error messages.
            cancelled: Stops the load.

        Raises:
            InvalidModel: The files can't be loaded.
            QueryError: The job is cancelled.
        """
        order = Order(model_type, directory, declared, name, self._limits.memory_bytes, self._limits.idle_seconds)
        try:
            with self._entry(version, order, cancelled) as entry:
                if entry.worker is None or entry.worker.signature is None:
                    raise InvalidModel("The model can't be loaded.")
                return entry.worker.signature
        except WorkerEnded as error:
            raise InvalidModel(
                f"The file is not {_NAMES[model_type]} model that can be loaded. {_crash(model_type, error, self._limits)}"
            ) from error

    def predict(self, model: Model, columns: dict[str, pa.Array], cancelled: threading.Event) -> dict[str, pa.Array]:
        """Return the model's outputs by name.

        Args:
            model: The model, with its files.
            columns: A column for each of the model's inputs, of the input's Arrow type and all of the same length.
            cancelled: Stops the prediction; also identifies the job.

        Raises:
            QueryError: A value does not match the model's input, the model failed, or the job is cancelled.
        """
        signature = model.signature
        if signature is None:
            raise ValueError(f"{model.reference} has no signature")
        batch = _to_batch(signature, columns)
        schema = pa.schema([pa.field(feature.name, feature.arrow_type) for feature in signature.outputs])
        order = Order(
            model.type,
            model.files,
            signature if model.type == "XGBOOST" else None,
            str(model.reference),
            self._limits.memory_bytes,
            self._limits.idle_seconds,
        )
        outputs = self._predict_shared(model.version, order, batch, schema, cancelled)
        if outputs is None:
            # Another job's batch can have crashed the worker, so this one runs in a worker of its own.
            alone = f"{model.version} alone {uuid.uuid4().hex}"
            try:
                outputs = self._predict_shared(alone, order, batch, schema, cancelled)
            finally:
                self.discard(alone)
        assert outputs is not None
        return dict(zip(outputs.schema.names, outputs.columns, strict=True))

    def _predict_shared(
        self, version: str, order: Order, batch: pa.RecordBatch, schema: pa.Schema, cancelled: threading.Event
    ) -> pa.RecordBatch | None:
        """Return the outputs, or None if the worker crashed and several jobs had batches in it."""
        while True:
            entry: _Entry | None = None
            try:
                with self._entry(version, order, cancelled) as entry:
                    return self._predict(version, entry, batch, schema, cancelled)
            except InvalidModel as error:
                raise QueryError(f"Model {order.name} can't be loaded: {error}", reason="internalError") from error
            except WorkerEnded as error:
                crashed = None if entry is None else entry.crashed
                if error.reason is None or (crashed is not None and cancelled not in crashed):
                    continue
                if crashed is not None and len(crashed) > 1:
                    return None
                raise QueryError(
                    f"Model {order.name} failed to predict: {_crash(order.type, error, self._limits)}",
                    reason="resourcesExceeded",
                ) from error

    def discard(self, version: str) -> None:
        """End the worker of a version that is not needed any more."""
        with self._changed:
            entry = self._entries.get(version)
            if entry is not None:
                self._end(version, entry)

    def close(self) -> None:
        """End all workers. Predictions that run end with an error."""
        with self._changed:
            self._closed = True
            for version, entry in list(self._entries.items()):
                self._end(version, entry)

    # Workers

    @contextmanager
    def _entry(self, version: str, order: Order, cancelled: threading.Event) -> Iterator[_Entry]:
        """Use the worker of a version, loaded; start it if there is none."""
        with self._changed:
            while version not in self._entries and len(self._entries) >= self._limits.workers:
                if not self._end_unused():
                    self._wait(cancelled)
            self._check(cancelled)
            entry = self._entries.get(version)
            starts = entry is None
            if entry is None:
                entry = self._entries[version] = _Entry()
            self._entries.move_to_end(version)
            entry.users += 1
        try:
            if starts:
                self._start(version, entry, order, cancelled)
            while not entry.loaded.wait(CHECK_SECONDS):
                self._check(cancelled)
            yield entry
        except WorkerEnded:
            self._forget(version, entry)
            raise
        finally:
            with self._changed:
                entry.users -= 1
                if entry.users == 0 and self._entries.get(version) is not entry:
                    entry.end()
                self._changed.notify_all()

    def _start(self, version: str, entry: _Entry, order: Order, cancelled: threading.Event) -> None:
        try:
            worker = Worker(order, CHANNELS)
            entry.worker = worker
            check = self._checker(version, entry, cancelled, self._limits.load_seconds, "to load the model")
            worker.wait_until_loaded(check)
        except BaseException:
            self._end(version, entry)
            raise
        finally:
            entry.loaded.set()

    def _predict(
        self, version: str, entry: _Entry, batch: pa.RecordBatch, schema: pa.Schema, cancelled: threading.Event
    ) -> pa.RecordBatch:
        worker = entry.worker
        if worker is None or worker.signature is None:
            # The job that started the worker was cancelled.
            raise WorkerEnded(None)
        with self._changed:
            while len(entry.running) >= CHANNELS:
                self._wait(cancelled)
            entry.running.append(cancelled)
        try:
            check = self._checker(version, entry, cancelled, self._limits.batch_seconds, "for one batch of rows")
            return worker.predict(batch, schema, check)
        except WorkerEnded:
            with self._changed:
                if entry.crashed is None:
                    entry.crashed = frozenset(entry.running)
            raise
        finally:
            with self._changed:
                entry.running.remove(cancelled)
                self._changed.notify_all()

    def _forget(self, version: str, entry: _Entry) -> None:
        with self._changed:
            if self._entries.get(version) is entry:
                del self._entries[version]
            self._changed.notify_all()

    def _end(self, version: str, entry: _Entry) -> None:
        """End a worker and take it out of the pool, so that no new batch goes to it."""
        with self._changed:
            self._forget(version, entry)
            entry.end()

    def _end_unused(self) -> bool:
        """End the worker that was used last the longest ago; return False if all are in use."""
        for version, entry in self._entries.items():
            if entry.users == 0:
                self._end(version, entry)
                return True
        return False

    # Stopping

    def _wait(self, cancelled: threading.Event) -> None:
        self._check(cancelled)
        self._changed.wait(CHECK_SECONDS)

    def _check(self, cancelled: threading.Event) -> None:
        if cancelled.is_set() or self._closed:
            raise QueryError("Job execution was cancelled: User requested cancellation", reason="stopped")

    def _checker(
        self, version: str, entry: _Entry, cancelled: threading.Event, seconds: float, purpose: str
    ) -> Callable[[], None]:
        """Return a function that ends the worker and raises an error when a job must not wait for it any longer."""
        deadline = time.monotonic() + seconds
        kill_at: float | None = None

        def check() -> None:
            nonlocal kill_at
            now = time.monotonic()
            if now > deadline:
                self._end(version, entry)
                raise QueryError(
                    f"The model takes longer than the {seconds:g} seconds that it has {purpose}.",
                    reason="resourcesExceeded",
                )
            if cancelled.is_set() or self._closed:
                kill_at = kill_at or now + self._limits.cancel_seconds
                if now >= kill_at:
                    self._end(version, entry)
                    self._check(cancelled)

        return check


def _to_batch(signature: Signature, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    arrays = []
    for feature in signature.inputs:
        array = columns[feature.name]
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        arrays.append(array if array.type == feature.arrow_type else array.cast(feature.arrow_type))
    return pa.RecordBatch.from_arrays(arrays, [feature.name for feature in signature.inputs])


def _crash(model_type: str, error: WorkerEnded, limits: Limits) -> str:
    return (
        f"The process that runs the model {error.reason or 'ended'}. The model crashes its {model_type} library, or needs "
        f"more than {limits.memory_bytes // 1024**2} MB of memory."
    )


def _end_all(entries: OrderedDict[str, _Entry]) -> None:
    for entry in entries.values():
        entry.end()
