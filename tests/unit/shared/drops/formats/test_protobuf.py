"""Fields of interest are found in files of protocol buffers, and nothing else of them is read."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from shared.drops import limits
from shared.drops.formats.protobuf import Bytes, End, Field, Found, MalformedError, Message, Varint, find_fields
from tests.model_files import InMemory, field, varint

NAMES: dict[int, Field] = {
    1: Bytes("name", longest=10),
    2: Message({1: Bytes("inner name", longest=10), 3: Varint("number")}, name="inner"),
    4: Varint("version"),
}


def find(content: bytes) -> list[tuple[str, bytes | int | None]]:
    return [found[:2] for found in find_fields(InMemory(content), NAMES)]


def test_fields_are_found_in_the_order_of_the_file() -> None:
    inner = field(1, b"b") + varint(3 << 3) + varint(300)
    content = field(1, b"a") + field(9, b"skipped") + field(2, inner) + varint(4 << 3) + varint(2**64 - 1)
    assert find(content) == [
        ("name", b"a"),
        ("inner", None),
        ("inner name", b"b"),
        ("number", 300),
        ("version", 2**64 - 1),
    ]


def test_a_long_text_is_found_without_its_value() -> None:
    assert find(field(1, b"x" * 11)) == [("name", None)]


def test_nothing_of_a_message_is_read_after_its_end() -> None:
    fields: dict[int, Field] = {1: Message({1: Bytes("first", 9), 2: End(), 3: Bytes("last", 9)}), 2: Bytes("next", 9)}
    content = field(1, field(1, b"a") + field(2, b"") + field(3, b"unread")) + field(2, b"b")
    assert list(find_fields(InMemory(content), fields)) == [Found("first", b"a", 1), Found("next", b"b", 0)]


def test_fields_of_another_wire_type_are_skipped() -> None:
    fixed = bytes([1 << 3 | 1]) + b"12345678" + bytes([2 << 3 | 5]) + b"1234"
    assert find(fixed + varint(1 << 3) + b"\x07" + field(4, b"text")) == []


@pytest.mark.parametrize(
    "content",
    [
        b"\x0a", b"\x0a\x05abc", field(2, field(1, b"abc", size=4)), field(2, b"\x0a"), b"\xff" * 30, b"\x0a" + b"\xff" * 30,
        b"\x0b\x0c", b"\x0e\x01", b"\x00\x01", b"\x09abc", b"\x0dabc", varint(2**29 << 3) + b"\x01",
        field(1, b"", size=2**63), field(2, b"", size=2**64 - 1), field(2, b"\x22\xff"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_message_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedError):
        find(content)


def test_a_tensor_larger_than_the_window_is_not_read() -> None:
    content = field(9, bytes(3 * limits.WINDOW_BYTES)) + field(1, b"after")
    file = InMemory(content)
    assert list(find_fields(file, NAMES)) == [Found("name", b"after")]
    assert sum(stop - start for start, stop in file.reads) < 2 * limits.WINDOW_BYTES


def test_windows_never_overlap_by_more_than_a_field() -> None:
    piece = field(9, b"x" * 1000) + field(1, b"name")
    file = InMemory(piece * (3 * limits.WINDOW_BYTES // len(piece)))
    assert len(list(find_fields(file, NAMES))) == file.size // len(piece)
    assert [stop - start for start, stop in file.reads[:-1]] == [limits.WINDOW_BYTES] * (len(file.reads) - 1)
    assert len(file.reads) <= 4


@pytest.mark.long
def test_every_position_of_a_field_in_the_window_is_read_alike() -> None:
    for shift in range(30):
        padding = field(9, bytes(limits.WINDOW_BYTES - 40 + shift))
        assert find(padding + field(1, b"0123456789") + field(2, field(1, b"x"))) == [
            ("name", b"0123456789"), ("inner", None), ("inner name", b"x"),
        ]  # fmt: skip


@given(st.recursive(st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4).map(b"".join)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        find(content)
    except MalformedError:
        return


@given(st.lists(st.tuples(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3)), max_size=5))
def test_messages_of_the_official_library_are_read(messages: list[tuple[str, list[str]]]) -> None:
    official = descriptor_pb2.FileDescriptorProto()
    for name, fields in messages:
        message = official.message_type.add(name=name)
        for each in fields:
            message.field.add(name=each, number=len(each) + 1)
    ours: dict[int, Field] = {
        4: Message({1: Bytes("message", 99), 2: Message({1: Bytes("field", 99), 3: Varint("number")})})
    }
    found = [each[:2] for each in find_fields(InMemory(official.SerializeToString()), ours)]
    wanted = [
        each
        for name, fields in messages
        for each in (
            ("message", name.encode()),
            *(pair for text in fields for pair in (("field", text.encode()), ("number", len(text) + 1))),
        )
    ]
    assert found == wanted


def test_the_operator_sets_of_an_onnx_model_are_found_behind_its_weights() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [5_000_000], bytes(20_000_000), raw=True)
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 3)])
    file = InMemory(model.SerializeToString(), "model.onnx")
    # https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (ModelProto)
    fields: dict[int, Field] = {
        1: Varint("IR version"),
        7: Message({1: Message({4: Bytes("operator", longest=50)})}),
        8: Message({1: Bytes("domain", longest=50), 2: Varint("version")}),
    }
    assert [found[:2] for found in find_fields(file, fields)] == [
        ("IR version", model.ir_version), ("operator", b"Identity"),
        ("domain", b""), ("version", 13), ("domain", b"ai.onnx.ml"), ("version", 3),
    ]  # fmt: skip
    assert sum(stop - start for start, stop in file.reads) <= limits.WINDOW_BYTES + 100
