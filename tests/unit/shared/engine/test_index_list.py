"""The list of all index objects is complete, however many pages it has and wherever they end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from google.cloud import storage

from shared.engine.ledger.index import INDEX, DamagedIndex, Pending
from shared.engine.ledger.index_list import LISTS, list_index, rest_of_folder
from shared.engine.ledger.objects import StateObjects
from shared.engine.ledger.pace import Pace
from shared.keys import hash_of

METADATA = {"created": "2026-11-01T12:00:00+00:00"}


def keys(count: int) -> list[str]:
    return sorted(hash_of("index", str(number)) for number in range(count))


@pytest.fixture
def objects(bucket: storage.Bucket) -> StateObjects:
    """The objects of a bucket without index objects."""
    for blob in list(bucket.list_blobs(prefix=INDEX)):
        blob.delete()
    return StateObjects(bucket.client, bucket.name, Pace(0))


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_all_index_objects_are_listed_once_with_pages_of_any_size(objects: StateObjects, most: int) -> None:
    predictions, batches = keys(40), keys(4)
    names = [*(f"predict/{key}" for key in predictions), *(f"batch/{key}" for key in batches), "aaa", "predict/zzz"]
    for name in [*names, "drop/"]:
        objects.write_empty(INDEX + name, METADATA, only_if_missing=True)
    found = list_index(objects, most=most)
    listed = [f"{each.kind}/{each.key}" for each in found if isinstance(each, Pending)]
    damaged = [each.listed.name.removeprefix(INDEX) for each in found if isinstance(each, DamagedIndex)]
    assert sorted(listed + damaged) == sorted(names)
    assert sorted(damaged) == ["aaa", "predict/zzz"]


def test_the_rest_of_a_folder_has_no_gaps_and_as_many_parts_as_lists_at_most() -> None:
    names = [f"{INDEX}predict/{key}" for key in keys(50_000)]
    parts = rest_of_folder(names[:1000])
    assert len(parts) == LISTS
    assert (parts[0][0], parts[-1][1]) == (names[999], f"{INDEX}predict0")
    assert all(former[1] == later[0] for former, later in pairwise(parts))
    sizes = [sum(start <= name < end for name in names) for start, end in parts]
    assert sum(sizes) == 49_001
    assert max(sizes) < 1.1 * min(sizes)


def test_a_short_rest_is_not_divided() -> None:
    names = [f"{INDEX}predict/{key}" for key in keys(1_500)]
    assert rest_of_folder(names[:1000]) == [(names[999], f"{INDEX}predict0")]


@pytest.mark.parametrize("end", ["aaa", "predict/zzz", "predict"])
def test_after_a_page_that_ends_with_another_name_everything_is_one_list(end: str) -> None:
    assert rest_of_folder([INDEX + end]) == [(INDEX + end, "")]
