"""Crafted models of TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers

LiteTensor = tuple[str, int, tuple[int, ...]]
"""The name, the type's number and the shape of a tensor of TensorFlow Lite; -1 is an open size."""


def lite_file(
    inputs: Sequence[LiteTensor],
    outputs: Sequence[LiteTensor],
    *,
    signature: str | None = None,
    custom: Sequence[str] = (),
    sparse: bool = False,
) -> bytes:
    """Return a TensorFlow Lite model without operations. The operators named in ``custom`` are declared."""
    builder = flatbuffers.Builder(1024)
    tensors = [_lite_tensor(builder, each, sparse) for each in (*inputs, *outputs)]
    numbers = range(len(tensors))
    firsts, lasts = list(numbers)[: len(inputs)], list(numbers)[len(inputs) :]
    graph = _table(
        builder, 5, {0: _offsets(builder, tensors), 1: _integers(builder, firsts), 2: _integers(builder, lasts)}
    )
    codes = [_table(builder, 4, {1: builder.CreateString(name)}) for name in custom]
    fields = {1: _offsets(builder, codes), 2: _offsets(builder, [graph])}
    if signature is not None:
        maps = [
            _offsets(builder, [_lite_map(builder, f"{each[0]}_key", at + start) for at, each in enumerate(side)])
            for side, start in ((inputs, 0), (outputs, len(inputs)))
        ]
        definition = _table(builder, 5, {0: maps[0], 1: maps[1], 2: builder.CreateString(signature)})
        fields[7] = _offsets(builder, [definition])
    builder.Finish(_table(builder, 8, fields), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _lite_tensor(builder: Any, tensor: LiteTensor, sparse: bool) -> int:
    name, kind, shape = tensor
    fields = {0: _integers(builder, [max(size, 1) for size in shape]), 3: builder.CreateString(name)}
    if -1 in shape:
        fields[7] = _integers(builder, shape)
    if sparse:
        fields[6] = _table(builder, 1, {})
    builder.StartObject(9)
    builder.PrependInt8Slot(1, kind, 0)
    for field_number, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(field_number, offset, 0)
    return int(builder.EndObject())


def _lite_map(builder: Any, name: str, tensor: int) -> int:
    text = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependUint32Slot(1, tensor, 0)
    return int(builder.EndObject())


def _table(builder: Any, size: int, fields: dict[int, int]) -> int:
    builder.StartObject(size)
    for number, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _integers(builder: Any, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())
