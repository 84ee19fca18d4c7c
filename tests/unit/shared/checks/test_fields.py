"""Fields of a request: a right value is returned, a wrong one is rejected with its path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from shared.checks.fields import Fields
from shared.errors import Rejected

VALUES: dict[str, Any] = {
    "text": "some text",
    "number": 7,
    "zero": 0,
    "yes": True,
    "no": False,
    "half": 0.5,
    "nothing": None,
    "empty": "",
    "blank": " \t",
    "object": {"inner": {"deep": "x"}, "wrong": 1},
    "list": ["a", "b"],
    "mixed": ["a", 1],
    "map": {"a": "b"},
    "mixed_map": {"a": 1},
    "odd_map": {1: "a"},
    "half_a_pair": "\ud800",
}


def _read(read: Callable[[Fields], Any]) -> Any:
    return read(Fields(VALUES))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda f: f.text("text"), "some text"),
        (lambda f: f.optional_text("text"), "some text"),
        (lambda f: f.optional_text("nothing"), None),
        (lambda f: f.optional_text("missing"), None),
        (lambda f: f.choice("text", ("some text", "other"), "other"), "some text"),
        (lambda f: f.choice("missing", ("a", "b"), "b"), "b"),
        (lambda f: f.optional_whole("number"), 7),
        (lambda f: f.optional_whole("zero", least=0), 0),
        (lambda f: f.optional_whole("missing"), None),
        (lambda f: f.nested("object").nested("inner").text("deep"), "x"),
        (lambda f: f.optional_nested("missing"), None),
        (lambda f: f.plain("map"), {"a": "b"}),
        (lambda f: f.plain("missing"), {}),
        (lambda f: f.plain_or_text("text"), "some text"),
        (lambda f: f.plain_or_text("map"), {"a": "b"}),
        (lambda f: f.texts("list"), ("a", "b")),
        (lambda f: f.texts("nothing"), ()),
        (lambda f: f.text_map("map"), {"a": "b"}),
        (lambda f: f.text_map("missing"), {}),
        (lambda f: f.has("text"), True),
        (lambda f: f.has("no"), True),
        (lambda f: f.has("nothing"), False),
        (lambda f: f.has("missing"), False),
    ],
)
def test_a_right_value_is_returned(read: Callable[[Fields], Any], value: Any) -> None:
    assert _read(read) == value


@pytest.mark.parametrize(
    ("read", "field", "code", "message"),
    [
        (lambda f: f.text("missing"), "missing", "missing_field", "is missing"),
        (lambda f: f.text("nothing"), "nothing", "missing_field", "is missing"),
        (lambda f: f.text("empty"), "empty", "invalid_field", "must not be empty"),
        (lambda f: f.text("blank"), "blank", "invalid_field", "must not be empty"),
        (lambda f: f.text("number"), "number", "invalid_field", "must be a string, not a whole number"),
        (lambda f: f.text("text", longest=4), "text", "invalid_field", "at most 4 characters long, not 9"),
        (lambda f: f.text("half_a_pair"), "half_a_pair", "invalid_field", "surrogate"),
        (lambda f: f.optional_text("object"), "object", "invalid_field", "must be a string, not an object"),
        (lambda f: f.choice("text", ("a", "b"), "a"), "text", "invalid_field", "must be one of a, b, not 'some text'"),
        (lambda f: f.optional_whole("half"), "half", "invalid_field", "must be a whole number, not 0.5"),
        (lambda f: f.optional_whole("yes"), "yes", "invalid_field", "must be a whole number, not true or false"),
        (lambda f: f.optional_whole("zero"), "zero", "invalid_field", "must be from 1 to"),
        (lambda f: f.optional_whole("number", most=6), "number", "invalid_field", "must be from 1 to 6, not 7"),
        (lambda f: f.nested("missing"), "missing", "missing_field", "is missing"),
        (lambda f: f.nested("list"), "list", "invalid_field", "must be an object, not a list"),
        (lambda f: f.nested("object").text("wrong"), "object.wrong", "invalid_field", "must be a string"),
        (lambda f: f.nested("object").nested("inner").text("x"), "object.inner.x", "missing_field", "is missing"),
        (lambda f: f.plain("text"), "text", "invalid_field", "must be an object, not a string"),
        (lambda f: f.texts("text"), "text", "invalid_field", "must be a list"),
        (lambda f: f.texts("mixed"), "mixed[1]", "invalid_field", "must be a string, not a whole number"),
        (lambda f: f.text_map("mixed_map"), "mixed_map.a", "invalid_field", "must be a string, not a whole number"),
        (lambda f: f.text_map("odd_map"), "odd_map", "invalid_field", "the name 1, which must be a string"),
    ],
)
def test_a_wrong_value_is_rejected_with_its_path(
    read: Callable[[Fields], Any], field: str, code: str, message: str
) -> None:
    with pytest.raises(Rejected) as rejection:
        _read(read)
    assert (rejection.value.problem.field, rejection.value.problem.code) == (field, code)
    assert message in rejection.value.problem.message
    assert rejection.value.problem.message.startswith(field)


@pytest.mark.parametrize("values", [None, "text", 1, [], True, 0.5])
def test_a_value_that_is_not_an_object_is_rejected(values: object) -> None:
    with pytest.raises(Rejected, match="the message must be an object"):
        Fields(values)
    with pytest.raises(Rejected, match=r"input must be an object"):
        Fields(values, "input")


def test_an_unknown_field_is_rejected_with_the_known_ones() -> None:
    fields = Fields({"model": "m", "modle": "m"})
    fields.text("model")
    fields.optional_text("request_id")
    with pytest.raises(Rejected, match="modle is not known; known here are model, request_id") as rejection:
        fields.reject_unknown()
    assert rejection.value.problem.code == "unknown_field"


def test_a_misspelt_field_is_rejected_with_what_was_probably_meant() -> None:
    fields = Fields({"Model": "m", "lables": {}, "ouput": "d.t"})
    with pytest.raises(Rejected, match=r"^model is missing; Model is given: did you mean model\?$"):
        fields.text("model")
    with pytest.raises(Rejected, match=r"^output is missing; ouput is given: did you mean output\?$"):
        fields.nested("output")
    fields.plain("labels")
    with pytest.raises(Rejected, match=r"Model is not known; did you mean model\? Known here are"):
        fields.reject_unknown()


def test_a_field_that_is_null_is_not_suggested_in_place_of_itself() -> None:
    assert Fields({"table": None}).suggestion("table", "uri") == ""
    assert Fields({"tabel": None}).suggestion("table", "uri") == "; tabel is given: did you mean table?"


def test_a_wrong_choice_is_rejected_with_what_was_probably_meant() -> None:
    for given in ("Truncate", "WRITE_TRUNCATE", "truncat", "overwrite"):
        with pytest.raises(Rejected, match=r"did you mean truncate\?"):
            Fields({"write": given}).choice("write", ("empty", "truncate", "append"), "empty")


def test_the_rejection_of_a_string_in_place_of_an_object_has_an_example() -> None:
    with pytest.raises(Rejected, match=r"^output must be an object, not a string: write \{\"table\": \"d.t\"\}$"):
        Fields({"output": "d.t"}).nested("output", example='{"table": "d.t"}')


@pytest.mark.parametrize(
    ("read", "advice"),
    [
        (lambda f: f.text("number"), "put it in quotes"),
        (lambda f: f.optional_whole("text"), "leave the quotes out"),
        (lambda f: f.nested("missing", example="{...}"), "write {...}"),
    ],
)
def test_the_rejection_says_how_to_write_the_value(read: Callable[[Fields], Any], advice: str) -> None:
    with pytest.raises(Rejected, match=re.escape(advice)):
        read(Fields({"number": 42, "text": "42"}))


def test_an_object_without_unknown_fields_passes() -> None:
    fields = Fields({"model": "m", "labels": None})
    fields.text("model")
    fields.plain("labels")
    fields.reject_unknown()


def test_a_very_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(Rejected) as rejection:
        Fields({"x" * 10_000: 1}).reject_unknown()
    assert len(rejection.value.problem.message) < 200
