"""What is read of an XGBoost model before BigQuery imports it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drops import limits
from shared.drops.formats.booster import read_booster
from shared.drops.formats.model_facts import Columns, ModelFacts, Tensor
from shared.errors import Rejected
from tests.model_files import InMemory, booster

DECLARED = Columns((("a", "FLOAT64"), ("b", "INT64")), (("score", "FLOAT64"),))


def binary(features: int = 2, objective: bytes = b"binary:logistic", *, mark: bytes = b"binf") -> bytes:
    """Return the beginning of a model in XGBoost's binary format."""
    numbers = struct.pack("<fIiiiIII", 0.5, features, 0, 0, 0, 1, 5, 1)
    return mark + numbers.ljust(136, b"\0") + struct.pack("<Q", len(objective)) + objective + bytes(500)


def read(content: bytes, declared: Columns | None = None, name: str = "model.json") -> ModelFacts:
    return read_booster(InMemory(content, name), declared or Columns())


def test_a_model_with_names_and_types_needs_no_declaration() -> None:
    facts = read(booster(names=["a", "b"], types=["float", "int"]))
    assert facts.inputs == (Tensor("a", "FLOAT64", "float32", (None,)), Tensor("b", "INT64", "float32", (None,)))
    assert facts.outputs == (Tensor("predicted_label", "FLOAT64", "float32", (None,)),)
    assert (facts.problems, facts.needed, facts.notes) == ((), None, ())


def test_categories_are_noted_since_bigquery_takes_them_for_integers() -> None:
    facts = read(booster(names=["a", "b"], types=["float", "c"]))
    assert facts.problems == ()
    assert [note.split(",")[0] for note in facts.notes] == ["the model has categories"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (booster(), "m.json"),
        (binary(), "m.bst"),
        (binary(mark=b""), "m.bst"),
        (booster(types=["float", "c"]), "m.json"),
    ],
)
def test_a_model_without_names_needs_columns_which_the_refusal_spells_out(content: bytes, name: str) -> None:
    facts = read(content, name=name)
    kind = "INT64" if b'"c"' in content else "FLOAT64"
    assert facts.needed == Columns((("f0", "FLOAT64"), ("f1", kind)), (("predicted_label", "FLOAT64"),))
    refusal = facts.refusal()
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("columns_needed", "modeldrop.yaml")
    assert f"`input: {{f0: FLOAT64, f1: {kind}}}` and `output: {{predicted_label: FLOAT64}}`" in refusal.message


@pytest.mark.parametrize(("content", "name"), [(booster(), "m.json"), (binary(), "m.bst")])
def test_a_model_with_declared_columns_is_accepted(content: bytes, name: str) -> None:
    facts = read(content, DECLARED, name)
    assert facts.refusal() is None
    assert [tensor.name for tensor in (*facts.inputs, *facts.outputs)] == ["a", "b", "score"]


def test_a_model_of_several_classes_returns_an_array() -> None:
    facts = read(booster(objective="multi:softprob", classes="3"), DECLARED)
    assert facts.outputs == (Tensor("score", "ARRAY<FLOAT64>", "float32", (None, 3)),)


@pytest.mark.parametrize(
    ("changes", "declared", "code", "part"),
    [
        ({"features": "3"}, DECLARED, "wrong_columns", "has 2 columns, and the XGBoost model has 3 features"),
        ({"names": ["b", "a"]}, DECLARED, "wrong_columns", "`input: {b: FLOAT64, a: FLOAT64}`"),
        ({"targets": "2"}, DECLARED, "unsupported_output", "has 2 outputs"),
        ({"base_score": "[5E-1]", "version": [3, 1, 0]}, DECLARED, "unsupported_version", "3.1.0"),
        ({"names": ["a", "b"], "types": ["float", "text"]}, None, "unsupported_type", "'text'"),
        ({"names": ["petal length (cm)", "b"]}, None, "wrong_column", "'petal length (cm)' cannot be"),
        ({"features": str(limits.COLUMNS + 1)}, None, "too_large", "has 10,001 features"),
    ],
)
def test_what_bigquery_would_refuse_is_named(
    changes: dict[str, Any], declared: Columns | None, code: str, part: str
) -> None:
    refusal = read(booster(**changes), declared).refusal()
    assert refusal is not None
    assert refusal.code == code
    assert part in refusal.message


def test_a_model_of_a_newer_version_is_accepted_with_a_note() -> None:
    facts = read(booster(version=[3, 0, 5]), DECLARED)
    assert facts.refusal() is None
    assert "XGBoost 3.0.5; BigQuery runs 1.5.1" in facts.notes[0]


@pytest.mark.parametrize(
    ("content", "name", "part"),
    [
        (b"{L\0\0\0\0\0\0\0\7learner{", "m.bst", "UBJSON format"),
        (b"{L\0\0\0\0\0\0\0\7learner{", "m.json", "UBJSON format"),
        (b"", "m.bst", "neither as JSON nor"),
        (b"tree\nversion=v4\n", "m.bst", "neither as JSON nor"),
        (binary(features=0), "m.bst", "neither as JSON nor"),
        (binary(objective=b"\xff\xff"), "m.bst", "neither as JSON nor"),
        (booster()[:-9], "m.json", "cut off"),
        (b'{"learner": {}}', "m.json", "no learner with parameters"),
        (booster(features="many"), "m.json", "is not a number"),
        (b'{"learner": {"learner_model_param": ' + b"[" * 50, "m.json", "too long to be read"),
    ],
)
def test_a_file_that_is_not_a_readable_booster_is_rejected(content: bytes, name: str, part: str) -> None:
    with pytest.raises(Rejected, match=part):
        read(content, name=name)


@pytest.mark.parametrize("window", [30, 64, 1000])
def test_a_model_is_read_alike_through_a_small_window(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    content = booster(names=["a", "b"], types=["float", "int"])
    whole = read(content)
    monkeypatch.setattr(limits, "WINDOW_BYTES", window)
    assert read(content) == whole


@given(data=st.data())
def test_a_damaged_file_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([booster(names=["a", "b"], types=["float", "int"]), binary()])))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content), name=data.draw(st.sampled_from(["m.json", "m.bst"])))
    except Rejected as refusal:
        assert refusal.problem.code in {"wrong_format", "unsupported_format", "too_large"}
