"""Converts Arrow columns to a model's inputs, and its outputs to Arrow columns, for every runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.signature import ARROW_TYPES, Feature
from localcloud.bigquery.ml.runtimes.base import Runtime

# How TensorFlow, onnxruntime and the libraries of C++ say that memory can't be allocated.
_OUT_OF_MEMORY = ("ResourceExhaustedError", "Failed to allocate memory", "bad_alloc", "bad allocation")

# TensorFlow's lines about the place in a graph, before and after the reason of a failure.
_NO_REASON = re.compile(
    r"Graph execution error|Detected at node|Node: |<stack traces|Stack trace|\s*File |\s*\[\[|\(most recent|\d+ root error"
)
_OPERATION = re.compile(r"\s*\[Op:\w+\]\s*(?:name:.*)?$|^\s*\(\d+\) \w+:\s*")


class Predictor:
    """Runs a loaded model over Arrow columns."""

    def __init__(self, runtime: Runtime, model: str) -> None:
        """Create a predictor.

        Args:
            runtime: The loaded model.
            model: The name of the model, for error messages.
        """
        self.runtime = runtime
        self.model = model

    def predict(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """Return the model's outputs by name.

        Args:
            columns: A column for each of the model's inputs, of the input's Arrow type and all of the same length.

        Raises:
            QueryError: A value does not match the model's input, or the model failed.
        """
        signature = self.runtime.signature
        rows = len(next(iter(columns.values())))
        if rows == 0:
            return {output.name: pa.array([], output.arrow_type) for output in signature.outputs}
        feeds = {feature.name: convert_input(feature, columns[feature.name]) for feature in signature.inputs}
        groups = list(_groups(feeds, rows))
        if len(groups) == 1:
            return self._run(select_rows(feeds, groups[0]), rows)
        parts = [self._run(select_rows(feeds, group), len(group)) for group in groups]
        back = np.argsort(np.concatenate(groups), kind="stable")
        return {
            output.name: pa.concat_arrays([part[output.name] for part in parts]).take(pa.array(back))
            for output in signature.outputs
        }

    def _run(self, feeds: dict[str, np.ndarray], rows: int) -> dict[str, pa.Array]:
        size = self.runtime.batch or rows
        parts = []
        for start in range(0, rows, size):
            batch = {name: values[start : start + size] for name, values in feeds.items()}
            parts.append(self._convert(self._call(batch), min(size, rows - start)))
        if len(parts) == 1:
            return parts[0]
        return {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}

    def _call(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self.runtime.run(feeds)
        except QueryError:
            raise
        except Exception as error:
            if _is_memory_error(error):
                # https://cloud.google.com/bigquery/docs/troubleshoot-queries#tensorflow_worker_oom
                raise QueryError(
                    f"Resources exceeded during query execution: worker of model {self.model} out of memory",
                    reason="resourcesExceeded",
                ) from error
            # The libraries raise many unrelated types of errors for rows that a model can't process.
            raise QueryError(
                f"Model {self.model} failed to predict: {_first_line(error)}", reason="invalidQuery"
            ) from error

    def _convert(self, outputs: dict[str, np.ndarray], rows: int) -> dict[str, pa.Array]:
        return {
            feature.name: convert_output(feature, np.asarray(outputs[feature.name]), rows, self.model)
            for feature in self.runtime.signature.outputs
        }


def _is_memory_error(error: Exception) -> bool:
    text = f"{type(error).__name__}: {error}"
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def _first_line(error: Exception) -> str:
    """Return the line of an exception's text that gives the reason."""
    lines = [line for line in str(error).splitlines() if line.strip() and not _NO_REASON.match(line)]
    return _OPERATION.sub("", lines[0]).strip() if lines else type(error).__name__


class RaggedInput:
    """The rows of an input with an open size, where the rows differ in size."""

    def __init__(self, values: np.ndarray, offsets: np.ndarray, shape: tuple[int | None, ...], name: str) -> None:
        """Create an input.

        Args:
            values: The elements of all rows, one after the other.
            offsets: The start of each row in ``values``, and the end of the last row.
            shape: The shape of one row in the model; None for an open size.
            name: The name of the input.
        """
        self.values = values
        self.offsets = offsets
        self.shape = shape
        self.name = name
        self.lengths = np.diff(offsets)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with the given numbers as one array. The rows must have the same length."""
        length = int(self.lengths[rows[0]])
        index = self.offsets[rows][:, None] + np.arange(length)[None, :]
        return reshape_rows(self.values[index], self.shape, length, self.name)


def reshape_rows(values: np.ndarray, shape: tuple[int | None, ...], length: int, name: str) -> np.ndarray:
    """Return rows in the shape of the model's input.

    Args:
        values: An array of rows x ``length``.
        shape: The shape of one row in the model; None for an open size.
        length: The number of elements in each row.
        name: The name of the input, for error messages.

    Raises:
        QueryError: The number of elements does not match the shape.
    """
    known = int(np.prod([size for size in shape if size is not None], dtype=np.int64))
    open_sizes = shape.count(None)
    if open_sizes == 0 and length != known:
        raise QueryError(
            f"Input column {name} of ML.PREDICT must hold arrays of {known} elements to fit the model's shape "
            f"{list(shape)}, but one has {length}."
        )
    if open_sizes == 1 and (known == 0 or length % known):
        raise QueryError(
            f"Input column {name} of ML.PREDICT: {length} elements do not fit the model's shape {list(shape)}."
        )
    if open_sizes > 1:
        side = round((length / max(known, 1)) ** (1 / open_sizes))
        if side**open_sizes * known != length:
            raise QueryError(
                f"Input column {name} of ML.PREDICT: {length} elements do not determine the sizes of the "
                f"model's shape {list(shape)}."
            )
        sizes = [side if size is None else size for size in shape]
    else:
        sizes = [length // known if size is None else size for size in shape]
    return values.reshape(len(values), *sizes)


def convert_input(feature: Feature, values: pa.Array) -> np.ndarray | RaggedInput:
    """Convert an Arrow column to a model's input.

    Raises:
        QueryError: A value is NULL, or an array has the wrong length.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.null_count and not feature.nullable:
        raise QueryError(
            f"Input column {feature.name} of ML.PREDICT has NULL values, which the model does not accept. Filter "
            "them out or replace them, for example with COALESCE."
        )
    if not feature.array:
        return to_numpy(values).reshape(-1, *feature.shape)
    offsets = np.asarray(values.offsets).astype(np.int64)
    inner = values.values.slice(offsets[0], offsets[-1] - offsets[0])
    offsets = offsets - offsets[0]
    if inner.null_count:
        raise QueryError(
            f"Input column {feature.name} of ML.PREDICT has arrays with NULL elements, which the model does not accept."
        )
    lengths = np.diff(offsets)
    if (lengths == lengths[0]).all():
        length = int(lengths[0])
        return reshape_rows(to_numpy(inner).reshape(len(values), length), feature.shape, length, feature.name)
    if feature.size is not None:
        wrong = int(lengths[lengths != feature.size][0])
        return reshape_rows(np.empty((0, wrong)), feature.shape, wrong, feature.name)
    return RaggedInput(to_numpy(inner), offsets, feature.shape, feature.name)


def to_numpy(values: pa.Array) -> np.ndarray:
    """Convert an Arrow array without NULLs to a NumPy array; strings become an object array of bytes."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return np.array(
            values.cast(pa.binary() if pa.types.is_string(values.type) else pa.large_binary()), dtype=object
        )
    numbers: np.ndarray = values.to_numpy(zero_copy_only=False)
    return numbers


def select_rows(feeds: dict[str, np.ndarray | RaggedInput], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of every input that have the numbers ``rows``."""
    return {
        name: values.rows(rows) if isinstance(values, RaggedInput) else _take(values, rows)
        for name, values in feeds.items()
    }


def _take(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return values if len(rows) == len(values) else values[rows]


def _groups(feeds: dict[str, np.ndarray | RaggedInput], rows: int) -> Iterator[np.ndarray]:
    """Yield the row numbers, grouped by the lengths of the ragged inputs."""
    ragged = [values.lengths for values in feeds.values() if isinstance(values, RaggedInput)]
    if not ragged:
        yield np.arange(rows)
        return
    keys, group_of = np.unique(np.stack(ragged, axis=1), axis=0, return_inverse=True)
    for group in range(len(keys)):
        yield np.flatnonzero(group_of.reshape(-1) == group)


def convert_output(feature: Feature, values: np.ndarray, rows: int, model: str) -> pa.Array:
    """Convert an output of a model to an Arrow array.

    Args:
        feature: The output.
        values: The values that the model returned, with the rows in the first dimension.
        rows: The number of input rows.
        model: The name of the model, for error messages.

    Raises:
        QueryError: The model returned another number of rows, or text that is not UTF-8.
    """
    if values.ndim == 0:
        values = np.repeat(values.reshape(1), rows, axis=0)
    if values.shape[0] != rows:
        raise QueryError(
            f"Model {model} returned {values.shape[0]} rows of output {feature.name} for {rows} rows of input."
        )
    flattened = values.reshape(-1)
    if not feature.array and flattened.size != rows:
        raise QueryError(f"Model {model} returned arrays for output {feature.name}, which is a scalar.")
    elements = convert_elements(feature, flattened, model)
    if not feature.array:
        return elements
    width = flattened.size // rows
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * width), elements)


def convert_elements(feature: Feature, values: np.ndarray, model: str) -> pa.Array:
    """Convert the elements of an output to their BigQuery type.

    Raises:
        QueryError: A text is not UTF-8.
    """
    match feature.type:
        case "STRING":
            if values.dtype.kind == "U":
                return pa.array(values, pa.string())
            try:
                return pc.cast(pa.array(values, pa.binary(), from_pandas=False), pa.string())
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                return _strings(feature, values, model)
        case "FLOAT64":
            return pa.array(values.astype(np.float64, copy=False))
        case "INT64":
            return pa.array(values.astype(np.int64, copy=False))
        case _:
            return pa.array(values.astype(bool, copy=False), ARROW_TYPES["BOOL"])


def _strings(feature: Feature, values: np.ndarray, model: str) -> pa.Array:
    try:
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    except UnicodeDecodeError as error:
        raise QueryError(f"Output {feature.name} of model {model} contains bytes that are not UTF-8 text.") from error
    return pa.array(texts, pa.string())
