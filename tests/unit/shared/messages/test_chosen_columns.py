"""The columns that a message chooses, compared with those that a dry run shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shared.errors import Rejected
from shared.messages.chosen_columns import ChosenColumns

PREDICTIONS: tuple[Mapping[str, Any], ...] = tuple(
    {"name": name, "type": "STRING", "mode": "NULLABLE"} for name in ("label", "id", "pixels", "Größe")
)


def _names(chosen: ChosenColumns) -> list[str]:
    return [column["name"] for column in chosen.of(PREDICTIONS)]


def test_kept_columns_have_the_order_of_the_message() -> None:
    assert _names(ChosenColumns(keep=("Größe", "label"))) == ["Größe", "label"]


def test_all_columns_but_the_dropped_ones_stay_in_their_order() -> None:
    assert _names(ChosenColumns(drop=("pixels", "label"))) == ["id", "Größe"]


@pytest.mark.parametrize(
    ("chosen", "field", "text"),
    [
        (ChosenColumns(keep=("id", "Label")), "columns.keep[1]", "did you mean label?"),
        (ChosenColumns(drop=("PIXELS",)), "columns.drop[0]", "did you mean pixels?"),
        (ChosenColumns(drop=("image",)), "columns.drop[0]", "; these are label, id, pixels, Größe"),
        (ChosenColumns(drop=("label", "id", "pixels", "Größe")), "columns.drop", "keep at least one"),
    ],
)
def test_a_choice_that_does_not_fit_the_predictions_is_rejected(chosen: ChosenColumns, field: str, text: str) -> None:
    with pytest.raises(Rejected, match=text.replace("?", r"\?")) as refusal:
        chosen.of(PREDICTIONS)
    assert refusal.value.problem.field == field
