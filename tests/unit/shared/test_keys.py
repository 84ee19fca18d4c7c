"""Keys: equal for the same work, different for any other."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from shared.keys import hash_of, hash_of_json

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.text()))
def test_a_key_fits_into_a_job_id_an_object_name_and_a_label(parts: list[str]) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", hash_of(*parts))


@given(st.lists(st.text()), st.lists(st.text()))
def test_other_parts_have_another_key_however_they_are_divided(parts: list[str], others: list[str]) -> None:
    assert (hash_of(*parts) == hash_of(*others)) == (parts == others)


def test_parts_are_not_simply_joined() -> None:
    assert len({hash_of("ab", "c"), hash_of("a", "bc"), hash_of("abc"), hash_of("", "abc"), hash_of("abc", "")}) == 5


def test_half_of_a_surrogate_pair_has_a_key() -> None:
    assert hash_of("\ud800") != hash_of("\ud801")


@given(st.dictionaries(st.text(), ANY_JSON, max_size=5))
def test_the_order_of_fields_does_not_change_the_key(value: dict[str, object]) -> None:
    assert hash_of_json(value) == hash_of_json(dict(reversed(value.items())))


def test_every_value_changes_the_key() -> None:
    values = [{}, {"a": 1}, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": {"b": 1}}, {"b": 1}, {"a": 1.5}, {"a": True}]
    assert len({hash_of_json(value) for value in values}) == len(values)


def test_a_key_is_the_same_in_every_version() -> None:
    # Work that is open while a new version is deployed has its old key.
    assert hash_of("predict", "request", "nightly") == "8e28ab72f360e1f1db50d26ee0168673"
