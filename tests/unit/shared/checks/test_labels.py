"""Labels and request ids: which ones are accepted, and how dates are filled in."""

from __future__ import annotations

import pytest

from shared.checks.fields import Fields
from shared.checks.labels import (
    MOST_LABELS,
    fill_in_time,
    read_labels,
    read_request_id,
)
from shared.errors import Rejected
from tests.example_requests import NOW


def test_labels_are_sorted_by_key() -> None:
    assert read_labels(Fields({"labels": {"team": "news", "cost": "1"}})) == (("cost", "1"), ("team", "news"))


def test_a_request_without_labels_has_none() -> None:
    assert read_labels(Fields({})) == ()


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({"Team": "news"}, "labels"),
        ({"team": "News"}, "labels.team"),
        ({"modeldrop_key": "x"}, "labels.modeldrop_key"),
        ({f"l{index}": "x" for index in range(MOST_LABELS + 1)}, "labels"),
    ],
)
def test_a_wrong_label_is_rejected_with_its_field(labels: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as rejection:
        read_labels(Fields({"labels": labels}))
    assert rejection.value.problem.field == field


@pytest.mark.parametrize(
    ("request_id", "filled"),
    [
        ("nightly-{date}", "nightly-2026-11-20"),
        ("{hour}", "2026-11-20T09"),
        ("{date}/{hour}/{date}", "2026-11-20/2026-11-20T09/2026-11-20"),
        ("plain", "plain"),
        ("mit Umlaut ä", "mit Umlaut ä"),
    ],
)
def test_dates_and_hours_are_those_of_the_publish_time(request_id: str, filled: str) -> None:
    assert read_request_id(Fields({"request_id": request_id}), NOW) == filled
    assert fill_in_time(request_id, NOW) == filled


def test_a_request_without_an_id_has_none() -> None:
    assert read_request_id(Fields({}), NOW) is None


@pytest.mark.parametrize("request_id", ["{day}", "nightly-{date", "}", "two\nlines"])
def test_a_request_id_with_another_brace_or_a_control_character_is_rejected(request_id: str) -> None:
    with pytest.raises(Rejected) as rejection:
        read_request_id(Fields({"request_id": request_id}), NOW)
    assert rejection.value.problem.field == "request_id"
