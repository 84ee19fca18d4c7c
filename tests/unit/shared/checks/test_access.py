"""Readable and writable datasets: what the two settings let through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.checks.access import check_readable, check_writable
from shared.errors import Rejected
from tests.example_requests import PROJECT, SETTINGS


@pytest.mark.parametrize("allowed", [(), ("films",), (f"{PROJECT}.films",), ("news", "films")])
def test_a_listed_dataset_may_be_read_and_written(allowed: tuple[str, ...]) -> None:
    check_readable(PROJECT, "films", replace(SETTINGS, readable_datasets=allowed), "input")
    check_writable(PROJECT, "films", replace(SETTINGS, writable_datasets=allowed), "output")


def test_a_dataset_that_is_not_listed_is_rejected() -> None:
    with pytest.raises(Rejected, match="may not be read; allowed are news"):
        check_readable(PROJECT, "films", replace(SETTINGS, readable_datasets=("news",)), "input")
    with pytest.raises(Rejected, match="may not be written; allowed are news") as rejection:
        check_writable(PROJECT, "films", replace(SETTINGS, writable_datasets=("news",)), "output.table")
    assert (rejection.value.problem.field, rejection.value.problem.code) == ("output.table", "dataset_not_allowed")


@pytest.mark.parametrize("allowed", ["films", f"{PROJECT}.films"])
def test_a_dataset_of_the_same_name_in_another_project_is_rejected(allowed: str) -> None:
    with pytest.raises(Rejected):
        check_writable("other-project", "films", replace(SETTINGS, writable_datasets=(allowed,)), "output")
    check_writable("other-project", "films", replace(SETTINGS, writable_datasets=("other-project.films",)), "output")
