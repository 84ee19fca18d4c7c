"""What is read of a TensorFlow Lite model before BigQuery imports it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drops import limits
from shared.drops.formats.model_facts import Columns, ModelFacts, Tensor
from shared.drops.formats.tensorflow_lite import read_tensorflow_lite
from shared.errors import Rejected
from tests.lite_files import lite_file
from tests.model_files import InMemory

FLOAT, STRING, COMPLEX = 0, 5, 8
INPUT, OUTPUT = ("serving_default_x:0", FLOAT, (-1, 4)), ("StatefulPartitionedCall:1", FLOAT, (-1, 3))


def read(content: bytes, declared: Columns | None = None) -> ModelFacts:
    return read_tensorflow_lite(InMemory(content, "model.tflite"), declared or Columns())


def test_a_model_without_signatures_has_the_names_of_its_tensors() -> None:
    facts = read(lite_file([INPUT, ("word", STRING, (-1, 1))], [OUTPUT]))
    assert facts.inputs == (
        Tensor("x", "ARRAY<FLOAT64>", "float32", (None, 4)),
        Tensor("word", "STRING", "string", (None, 1)),
    )
    assert facts.outputs == (Tensor("StatefulPartitionedCall", "ARRAY<FLOAT64>", "float32", (None, 3)),)
    assert (facts.problems, facts.notes) == ((), ())


def test_a_model_with_a_signature_has_its_names() -> None:
    facts = read(lite_file([INPUT], [OUTPUT], signature="serving_default"))
    assert [tensor.name for tensor in (*facts.inputs, *facts.outputs)] == [
        "serving_default_x:0_key",
        "StatefulPartitionedCall:1_key",
    ]


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (
            lite_file([INPUT], [("y", COMPLEX, (-1,))]),
            "unsupported_type",
            "output 'y' of the TensorFlow Lite model has",
        ),
        (
            lite_file([INPUT], [OUTPUT], sparse=True),
            "unsupported_type",
            "input 'x' of the TensorFlow Lite model is a sparse",
        ),
        (
            lite_file([("x", FLOAT, (8, 4))], [OUTPUT]),
            "fixed_batch",
            "'x' of the TensorFlow Lite model has the fixed batch",
        ),
        (lite_file([INPUT], [OUTPUT], custom=["MyOperator"]), "unsupported_operator", "custom operators MyOperator"),
        (lite_file([INPUT], [OUTPUT], custom=["FlexSentencepieceOp"]), "unsupported_operator", "FlexSentencepieceOp"),
    ],
    ids=["type", "sparse", "batch", "custom", "sentencepiece"],
)
def test_what_bigquery_would_refuse_is_named(content: bytes, code: str, part: str) -> None:
    refusal = read(content).refusal()
    assert refusal is not None
    assert refusal.code == code
    assert part in refusal.message


@pytest.mark.parametrize("name", ["FlexErf", "TFText>WhitespaceTokenizeWithOffsetsV2"])
def test_operators_of_tensorflow_are_accepted_with_a_note(name: str) -> None:
    facts = read(lite_file([INPUT], [OUTPUT], custom=[name]))
    assert facts.problems == ()
    assert name in facts.notes[0]


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x1c\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + b"\xff" * 99, b"0000JSON" + bytes(99)]
)
def test_a_file_that_is_not_a_model_is_rejected(content: bytes) -> None:
    with pytest.raises(Rejected, match="is not a TensorFlow Lite model") as refusal:
        read(content)
    assert refusal.value.problem.code == "wrong_format"


def test_a_model_behind_large_weights_is_read_without_them() -> None:
    content = lite_file([INPUT], [OUTPUT])
    file = InMemory(content + bytes(5 * limits.PAGE_BYTES), "model.tflite")
    assert read_tensorflow_lite(file, Columns()).problems == ()
    assert sum(stop - start for start, stop in file.reads) <= limits.PAGE_BYTES + 8


@given(data=st.data())
def test_a_damaged_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(lite_file([INPUT], [OUTPUT], signature="serving_default", custom=["FlexErf"]))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content))
    except Rejected as refusal:
        assert refusal.problem.code in {"wrong_format", "too_large"}
