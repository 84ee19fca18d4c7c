"""The lists of BigQuery's jobs: the parts of time in which jobs were created."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from shared.poller.job_lists import LISTS, PAGE, parts_of_time
from tests.example_requests import NOW

SINCE = NOW - timedelta(hours=1)


def evenly(count: int) -> list[datetime]:
    return [NOW - timedelta(minutes=50) * number / count for number in range(count)]


@pytest.mark.parametrize(("count", "parts"), [(1, 1), (PAGE, 1), (PAGE + 1, 2), (4 * PAGE, 4), (50 * PAGE, LISTS)])
def test_there_is_a_list_for_each_page_and_at_most_a_few_at_once(count: int, parts: int) -> None:
    assert len(parts_of_time(SINCE, evenly(count))) == parts


def test_the_parts_have_no_gaps_and_about_the_same_number_of_jobs() -> None:
    submitted = evenly(20_000)
    parts = parts_of_time(SINCE, submitted)
    assert (parts[0][0], parts[-1][1]) == (SINCE, None)
    assert all(former[1] == later[0] for former, later in pairwise(parts))
    sizes = [sum(start <= each <= (end or NOW) for each in submitted) for start, end in parts]
    assert max(sizes) <= 20_000 / LISTS + 1


@pytest.mark.parametrize("moment", [NOW, SINCE, SINCE - timedelta(minutes=1)])
def test_jobs_that_were_created_at_the_same_time_are_not_divided_into_empty_parts(moment: datetime) -> None:
    parts = parts_of_time(SINCE, [moment] * 5_000)
    assert parts in ([(SINCE, None)], [(SINCE, moment), (moment, None)])
