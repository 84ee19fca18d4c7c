"""What a worker does: it loads one model and predicts the batches that come through its channels."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from localcloud.base.sandbox import restrict
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.runtimes.inference import Predictor
from localcloud.bigquery.ml.runtimes.loading import load
from localcloud.bigquery.ml.workers import frames


@dataclass(frozen=True)
class Order:
    """What a worker loads, and its limits.

    Attributes:
        type: ``TENSORFLOW``, ``ONNX``, ``TENSORFLOW_LITE`` or ``XGBOOST``.
        directory: The folder of the model's files.
        declared: The inputs and outputs in the INPUT and OUTPUT clauses, or None.
        name: The name of the model, for error messages.
        memory_bytes: The limit of the memory that the worker allocates.
        idle_seconds: The time without a batch after which the worker ends.
    """

    type: str
    directory: Path
    declared: Signature | None
    name: str
    memory_bytes: int
    idle_seconds: float

    def to_json(self) -> bytes:
        """Return the order as JSON."""
        declared = None if self.declared is None else self.declared.to_json()
        return json.dumps({**self.__dict__, "directory": str(self.directory), "declared": declared}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Order:
        """Return the order that ``to_json`` returned."""
        record: dict[str, Any] = json.loads(content)
        declared = None if record["declared"] is None else Signature.from_json(record["declared"])
        return cls(**{**record, "directory": Path(record["directory"]), "declared": declared})


def work(order: Order, channels: list[socket.socket]) -> None:
    """Load the model, report its signature on the first channel, and predict until all channels are idle or closed.

    Args:
        order: The order.
        channels: Sockets; each carries one batch at a time.
    """
    restrict(order.directory, order.memory_bytes)
    try:
        runtime = load(order.type, order.directory, declared=order.declared)
    except InvalidModel as error:
        frames.send(channels[0], frames.INVALID, str(error).encode())
        return
    predictor = Predictor(runtime, order.name)
    frames.send(channels[0], frames.READY, json.dumps(runtime.signature.to_json()).encode())
    _Service(predictor, order.idle_seconds).serve(channels)


class _Service:
    def __init__(self, predictor: Predictor, idle_seconds: float) -> None:
        self._predictor = predictor
        signature = predictor.runtime.signature
        self._inputs = pa.schema([pa.field(feature.name, feature.arrow_type) for feature in signature.inputs])
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._running = 0
        self._last_used = time.monotonic()

    def serve(self, channels: list[socket.socket]) -> None:
        for channel in channels:
            threading.Thread(target=self._serve, args=[channel], daemon=True).start()
        while True:
            with self._lock:
                rest = self._last_used + self._idle_seconds - time.monotonic()
                if self._running == 0 and rest <= 0:
                    return
            time.sleep(max(rest, 0.1))

    def _serve(self, channel: socket.socket) -> None:
        while True:
            try:
                _, content = frames.receive(channel)
            except (EOFError, OSError):
                # The other side closes all channels at once.
                os._exit(0)
            with self._lock:
                self._running += 1
            try:
                frames.send(channel, *self._reply(content))
            except OSError:
                os._exit(0)
            with self._lock:
                self._running -= 1
                self._last_used = time.monotonic()

    def _reply(self, content: pa.Buffer) -> tuple[bytes, bytes | pa.Buffer]:
        try:
            batch = pa.ipc.read_record_batch(content, self._inputs)
            outputs = self._predictor.predict(dict(zip(self._inputs.names, batch.columns, strict=True)))
            return frames.ROWS, pa.RecordBatch.from_arrays(list(outputs.values()), list(outputs)).serialize()
        except QueryError as error:
            return _failure(error.message, error.reason)
        except MemoryError:
            return _failure(
                "Resources exceeded during query execution: model worker out of memory", "resourcesExceeded"
            )
        except Exception as error:
            return _failure(f"{type(error).__name__}: {error}", "jobInternalError")


def _failure(message: str, reason: str) -> tuple[bytes, bytes]:
    return frames.FAILED, json.dumps({"message": message, "reason": reason}).encode()
