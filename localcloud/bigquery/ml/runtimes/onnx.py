"""ONNX models, run by onnxruntime and limited to the features of BigQuery's ONNX Runtime 1.12.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-onnx
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, TypeProto, ValueInfoProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.operators.onnx_model import check_onnx_model
from localcloud.bigquery.ml.runtimes.numbers import narrow, zeros

# The versions that ONNX Runtime 1.12 supports: https://onnxruntime.ai/docs/reference/compatibility.html
NEWEST_IR = 8
NEWEST_OPSETS = {"": 17, "ai.onnx": 17, "ai.onnx.ml": 3}

# The number of rows in one run of the model.
RUN_ROWS = 1024

_TYPES: dict[int, tuple[str, type[np.generic] | str]] = {
    TensorProto.INT8: ("INT64", np.int8),
    TensorProto.INT16: ("INT64", np.int16),
    TensorProto.INT32: ("INT64", np.int32),
    TensorProto.INT64: ("INT64", np.int64),
    TensorProto.UINT8: ("INT64", np.uint8),
    TensorProto.UINT16: ("INT64", np.uint16),
    TensorProto.UINT32: ("INT64", np.uint32),
    TensorProto.UINT64: ("INT64", np.uint64),
    TensorProto.BFLOAT16: ("FLOAT64", np.float32),  # NumPy has no such type; see ``_without_bfloat16``
    TensorProto.FLOAT16: ("FLOAT64", np.float16),
    TensorProto.FLOAT: ("FLOAT64", np.float32),
    TensorProto.DOUBLE: ("FLOAT64", np.float64),
    TensorProto.BOOL: ("BOOL", np.bool_),
    TensorProto.STRING: ("STRING", "text"),
}
_KINDS = {
    "sequence_type": "ONNX_TYPE_SEQUENCE",
    "map_type": "ONNX_TYPE_MAP",
    "optional_type": "ONNX_TYPE_OPTIONAL",
    "sparse_tensor_type": "ONNX_TYPE_SPARSETENSOR",
    "opaque_type": "ONNX_TYPE_OPAQUE",
}
_RAISED = tuple(
    error
    for name in dir(onnxruntime_pybind11_state)
    if isinstance(error := getattr(onnxruntime_pybind11_state, name), type) and issubclass(error, Exception)
)


class OnnxModel:
    """A loaded ONNX model."""

    def __init__(self, directory: Path) -> None:
        """Load the file ``model.onnx`` in a folder.

        Raises:
            InvalidModel: BigQuery does not support the model.
        """
        file = directory / "model.onnx"
        graph = read_graph(file)
        # The inputs of models in old formats include the weights.
        weights = {tensor.name for tensor in graph.initializer}
        values = [value for value in graph.input if value.name not in weights]
        self._dtypes = {value.name: _dtype(value, "input") for value in values}
        self._scalars = {value.name for value in values if _rank(value) == 0}
        self.batch = _batch(values)
        inputs = tuple(_feature(value, "input") for value in values)
        outputs = tuple(_feature(value, "output") for value in graph.output)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Several batches run in parallel, with one thread each. This uses the cores better than many threads per batch.
        options.intra_op_num_threads = 1
        # Otherwise onnxruntime takes a file whose content looks like its own format for that, which was not checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session = onnxruntime.InferenceSession(
            _without_bfloat16(file), options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in outputs]
        self.signature = Signature(inputs, self._with_known_ranks(inputs, outputs, graph.output))

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's outputs for a batch of rows."""
        prepared = {name: self._model_input(name, values) for name, values in feeds.items()}
        if len(self._scalars) == len(prepared):
            return {name: np.expand_dims(result, 0) for name, result in self._results(prepared).items()}
        rows = max(len(values) for name, values in prepared.items() if name not in self._scalars)
        if self._scalars or rows <= RUN_ROWS:
            return self._results(prepared)
        # Small parts stay in the processor's cache from layer to layer, and run a third faster than all rows at once.
        first = self._results({name: values[:RUN_ROWS] for name, values in prepared.items()})
        if any(result.ndim == 0 or len(result) != RUN_ROWS for result in first.values()):
            return self._results(prepared)
        parts = [first] + [
            self._results({name: values[start : start + RUN_ROWS] for name, values in prepared.items()})
            for start in range(RUN_ROWS, rows, RUN_ROWS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _results(self, prepared: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._names, self._session.run(self._names, prepared), strict=True))

    def _model_input(self, name: str, values: np.ndarray) -> np.ndarray:
        if name in self._scalars:
            values = np.asarray(values[0])
        dtype = self._dtypes[name]
        if isinstance(dtype, str):
            texts = [value.decode() for value in values.reshape(-1)]
            return np.array(texts, dtype=object).reshape(values.shape)
        return np.ascontiguousarray(narrow(name, values, dtype))

    def _with_known_ranks(
        self, inputs: tuple[Feature, ...], outputs: tuple[Feature, ...], values: Iterable[ValueInfoProto]
    ) -> tuple[Feature, ...]:
        """Return the outputs. Run the model once to find the ranks that the graph leaves open."""
        unknown = {value.name for value in values if _rank(value) is None}
        if not unknown:
            return outputs
        try:
            results = self.run({feature.name: zeros(feature) for feature in inputs})
        except _RAISED:
            return outputs
        return tuple(
            Feature.as_output(f.name, f.type, results[f.name].shape[1:]) if f.name in unknown else f for f in outputs
        )


def read_graph(file: Path) -> onnx.GraphProto:
    """Return the graph of an ONNX file.

    Raises:
        InvalidModel: The file is not an ONNX model, or ONNX Runtime 1.12 does not support it.
    """
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:
        # The class of the error differs between implementations of protobuf.
        raise InvalidModel("The file is not an ONNX model: it can't be parsed.") from error
    if not model.graph.output:
        raise InvalidModel("The file is not an ONNX model: its graph has no outputs.")
    if model.ir_version > NEWEST_IR:
        raise InvalidModel(
            f"The ONNX model has IR version {model.ir_version}; the newest that is supported is {NEWEST_IR} (ONNX "
            "Runtime 1.12). Export it with an older one."
        )
    for opset in model.opset_import:
        newest = NEWEST_OPSETS.get(opset.domain)
        if newest is not None and opset.version > newest:
            raise InvalidModel(
                f"The ONNX model uses opset {opset.version} of domain '{opset.domain or 'ai.onnx'}'; the newest that "
                f"is supported is {newest} (ONNX Runtime 1.12). Export it with an older one."
            )
    check_onnx_model(model)
    return model.graph


def _without_bfloat16(file: Path) -> str | bytes:
    """Return a model whose inputs and outputs of type BFLOAT16 are FLOAT, and are converted in the graph."""
    model = onnx.load(str(file), load_external_data=False)
    graph = model.graph
    found = [
        value for value in (*graph.input, *graph.output) if value.type.tensor_type.elem_type == TensorProto.BFLOAT16
    ]
    if not found:
        return str(file)
    inputs = {value.name for value in graph.input}
    for value in found:
        narrow_name = f"{value.name}/bfloat16"
        for node in graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == value.name:
                        names[index] = narrow_name
        value.type.tensor_type.elem_type = TensorProto.FLOAT
        if value.name in inputs:
            graph.node.insert(0, helper.make_node("Cast", [value.name], [narrow_name], to=TensorProto.BFLOAT16))
        else:
            graph.node.append(helper.make_node("Cast", [narrow_name], [value.name], to=TensorProto.FLOAT))
    content: bytes = model.SerializeToString()
    return content


def _rank(value: ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    return len(tensor.shape.dim) if tensor.HasField("shape") else None


def _batch(values: list[ValueInfoProto]) -> int | None:
    """Return the number of rows in one call, or None for any number."""
    fixed = None
    for value in values:
        if _rank(value) == 0:
            fixed = 1
        elif _rank(value):
            first = value.type.tensor_type.shape.dim[0]
            size = first.dim_value if first.HasField("dim_value") and first.dim_value > 0 else None
            if size not in (None, 1):
                raise InvalidModel(
                    f"ONNX model input '{value.name}' has a first dimension of {size}; it is the batch dimension and "
                    "must be open or 1."
                )
            fixed = size or fixed
    return fixed


def _dtype(value: ValueInfoProto, kind: str) -> type[np.generic] | str:
    return _tensor_type(value.name, value.type, kind)[1]


def _tensor_type(name: str, kind_of_value: TypeProto, kind: str) -> tuple[str, type[np.generic] | str]:
    which = kind_of_value.WhichOneof("value")
    if which != "tensor_type":
        raise InvalidModel(
            f"ONNX model {kind} '{name}' has unsupported ONNX type: {_KINDS.get(which or '', 'ONNX_TYPE_UNKNOWN')}."
        )
    element = kind_of_value.tensor_type.elem_type
    if element not in _TYPES:
        unsupported = helper.tensor_dtype_to_string(element).removeprefix("TensorProto.")
        raise InvalidModel(f"ONNX model {kind} '{name}' has unsupported ONNX tensor element type: {unsupported}.")
    return _TYPES[element]


def _feature(value: ValueInfoProto, kind: str) -> Feature:
    dims = value.type.tensor_type.shape.dim
    shape = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims[1:])
    make = Feature.as_input if kind == "input" else Feature.as_output
    return make(value.name, _tensor_type(value.name, value.type, kind)[0], shape)
