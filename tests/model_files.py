"""Model files that are in memory or on a disk, and crafted ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.model_facts import Columns


class InMemory:
    """A model file whose content is given. It counts the ranges that are read."""

    def __init__(self, content: bytes, name: str = "saved_model.pb") -> None:
        self.name = name
        self.size = len(content)
        self.reads: list[tuple[int, int]] = []
        self._content = content

    def read(self, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        return self._content[start:stop]


class OnDisk:
    """A model file on the disk, which may be larger than the memory."""

    def __init__(self, path: Path, name: str = "saved_model.pb") -> None:
        self.name = name
        self.size = path.stat().st_size
        self.reads: list[tuple[int, int]] = []
        self._path = path

    def read(self, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


def read_columns(model_type: str, content: bytes) -> list[tuple[str, str]]:
    """Return the names and types of a model's inputs and outputs, as the functions read them from its file."""
    facts = FORMATS[model_type].read(InMemory(content, "model.json"), Columns())
    assert facts.refusal() is None
    return [(tensor.name, tensor.type) for tensor in (*facts.inputs, *facts.outputs)]


def onnx_file(*, ir: int = 8, opset: int = 17) -> bytes:
    """Return the smallest ONNX model that BigQuery takes: it returns its input, a vector of float32."""
    value = field(2, field(1, b"\x08\x01" + field(2, field(1, b"") + field(1, b"\x08\x04"))))
    node = field(1, field(1, b"x") + field(2, b"y") + field(4, b"Identity"))
    graph = node + field(2, b"g") + field(11, field(1, b"x") + value) + field(12, field(1, b"y") + value)
    return b"\x08" + varint(ir) + field(7, graph) + field(8, b"\x10" + varint(opset))


def varint(value: int) -> bytes:
    """Return an integer as protocol buffers encode it."""
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def field(number: int, content: bytes, *, size: int | None = None) -> bytes:
    """Return a text, bytes or message as a field. A ``size`` larger than the content announces bytes that follow."""
    return varint(number << 3 | 2) + varint(len(content) if size is None else size) + content


def graph(*nodes: bytes) -> bytes:
    """Return a SavedModel of one graph with these nodes."""
    return field(2, field(2, b"".join(field(1, node) for node in nodes)))


def graph_around(size: int) -> bytes:
    """Return the beginning of a SavedModel whose one node holds a tensor of ``size`` bytes, which follow."""
    beginning = field(2, b"Const") + varint(5 << 3 | 2) + varint(size)
    total = len(beginning) + size
    for number in (1, 2, 2):
        beginning = varint(number << 3 | 2) + varint(total) + beginning
        total = len(beginning) + size
    return beginning


def booster(**changes: Any) -> bytes:
    """Return a model as XGBoost saves it in JSON."""
    learner = {
        "attributes": {},
        "feature_names": changes.get("names", []),
        "feature_types": changes.get("types", []),
        "gradient_booster": {"model": {"trees": [{"left_children": [1, -1], "name": '"]}\\'}] * 3}, "name": "gbtree"},
        "learner_model_param": {
            "base_score": changes.get("base_score", "5E-1"),
            "num_class": changes.get("classes", "0"),
            "num_feature": changes.get("features", "2"),
            "num_target": changes.get("targets", "1"),
        },
        "objective": {"name": changes.get("objective", "reg:squarederror")},
    }
    return json.dumps({"learner": learner, "version": changes.get("version", [1, 5, 1])}).encode()


def saved_tensor(kind: int, *shape: int, encoding: int | None = None, has_rank: bool = True) -> bytes:
    """Return a TensorInfo. A size of -1 is open."""
    sizes = b"".join(field(2, b"\x08" + varint(size % 2**64)) for size in shape)
    info = b"\x10" + varint(kind) + field(3, sizes if has_rank else b"\x18\x01")
    return info if encoding is None else info + field(encoding, b"")


def saved_signature(inputs: dict[str, bytes], outputs: dict[str, bytes], name: str = "serving_default") -> bytes:
    """Return an entry of the signatures of a graph."""
    sides = ((1, inputs), (2, outputs))
    values = b"".join(
        field(side, field(1, key.encode()) + field(2, info)) for side, tensors in sides for key, info in tensors.items()
    )
    return field(5, field(1, name.encode()) + field(2, values))


def saved_model(
    *signatures: bytes, operators: tuple[bytes, ...] = (), producer: int = 1000, tag: bytes = b"serve"
) -> bytes:
    """Return the content of a `saved_model.pb`."""
    nodes = b"".join(field(1, field(2, name)) for name in operators)
    graph = nodes + field(4, b"\x08" + varint(producer))
    return field(2, field(1, field(4, tag) + field(5, b"2.21.0")) + field(2, graph) + b"".join(signatures))
