"""What is read of a SavedModel's signature before BigQuery imports it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drops.formats.model_facts import Columns, ModelFacts, Tensor
from shared.drops.formats.serving_signature import read_signature
from shared.errors import Rejected
from tests.model_files import InMemory, saved_model
from tests.model_files import saved_signature as signature
from tests.model_files import saved_tensor as tensor

FLOAT, STRING, INT64, RESOURCE = 1, 7, 9, 20
SPARSE, RAGGED = 4, 5


def read(content: bytes, declared: Columns | None = None) -> ModelFacts:
    return read_signature(InMemory(content), declared or Columns())


X, Y = {"x": tensor(FLOAT, -1, 4)}, {"y": tensor(FLOAT, -1, 3)}
GOOD = signature(X, Y)


def test_inputs_and_outputs_become_columns_in_the_order_of_their_names() -> None:
    inputs = {
        "word": tensor(STRING, -1),
        "place": tensor(FLOAT, -1, 3),
        "count": tensor(INT64, -1, 1),
    }
    outputs = {
        "score": tensor(FLOAT, -1, 1),
        "label": tensor(INT64, -1),
        "open": tensor(FLOAT, has_rank=False),
    }
    facts = read(saved_model(signature(inputs, outputs)))
    assert facts.inputs == (
        Tensor("count", "INT64", "int64", (None, 1)),
        Tensor("place", "ARRAY<FLOAT64>", "float32", (None, 3)),
        Tensor("word", "STRING", "string", (None,)),
    )
    assert facts.outputs == (
        Tensor("label", "INT64", "int64", (None,)),
        Tensor("open", "FLOAT64", "float32", None),
        Tensor("score", "ARRAY<FLOAT64>", "float32", (None, 1)),
    )
    assert (facts.problems, facts.notes, facts.versions) == ((), (), (("saved by TensorFlow", "2.21.0"),))


def test_a_signature_without_a_batch_has_whole_tensors_as_outputs() -> None:
    facts = read(saved_model(signature({"x": tensor(FLOAT)}, {"y": tensor(FLOAT, 3), "z": tensor(FLOAT)})))
    assert [(each.name, each.type) for each in facts.outputs] == [("y", "ARRAY<FLOAT64>"), ("z", "FLOAT64")]


@pytest.mark.parametrize(
    ("content", "code", "parts"),
    [
        (saved_model(), "no_signature", ["no signature 'serving_default' (it has: none)", "model.export"]),
        (saved_model(signature(X, Y, "predict")), "no_signature", ["it has: predict"]),
        (saved_model(GOOD, tag=b"train"), "no_signature", ["no graph with the tag 'serve' (its tags: train)"]),
        (saved_model(signature({}, Y)), "no_signature", ["has no inputs"]),
        (
            saved_model(signature(X, {"r": tensor(RESOURCE, -1)})),
            "unsupported_type",
            ["output 'r'", "resource"],
        ),
        (
            saved_model(signature({"w": tensor(FLOAT, -1, encoding=RAGGED)}, Y)),
            "unsupported_type",
            ["input 'w'", "RaggedTensor"],
        ),
        (
            saved_model(signature({"x": tensor(FLOAT, 32, 4)}, Y)),
            "fixed_batch",
            ["input 'x'", "batch dimension 32"],
        ),
        (saved_model(GOOD, operators=(b"Addons>Resampler",)), "unsupported_operator", ["Addons>Resampler"]),
        (saved_model(GOOD, operators=(b"EagerPyFunc",)), "unsupported_operator", ["Python code"]),
        (saved_model(GOOD, producer=19), "unsupported_version", ["GraphDef version 19"]),
    ],
)
def test_what_bigquery_would_refuse_is_named(content: bytes, code: str, parts: list[str]) -> None:
    refusal = read(content).refusal()
    assert refusal is not None
    assert refusal.code == code
    assert [part for part in parts if part not in refusal.message] == []


def test_a_sparse_input_is_accepted() -> None:
    assert read(saved_model(signature({"x": tensor(FLOAT, -1, 4, encoding=SPARSE)}, Y))).problems == ()


def test_other_signatures_are_noted() -> None:
    assert read(saved_model(GOOD, signature(X, Y, "train"))).notes == (
        "BigQuery uses the signature 'serving_default'; the file also has train",
    )


def test_a_serialized_example_is_noted() -> None:
    [note] = read(saved_model(signature({"examples": tensor(STRING, -1)}, Y), operators=(b"ParseExampleV2",))).notes
    assert "'examples' is a serialized tf.train.Example" in note


@given(data=st.data())
def test_a_damaged_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(saved_model(GOOD, signature(X, Y, "other"), operators=(b"MatMul", b"PyFunc")))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content))
    except Rejected as refusal:
        assert refusal.problem.code in {"wrong_format", "too_large"}
