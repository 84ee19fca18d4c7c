"""The files and folders of a batch in Cloud Storage, before a job is paid."""

from __future__ import annotations

import pytest

from shared.batches.addresses import ObjectUri
from shared.batches.files import check_bucket_exists
from shared.errors import Rejected
from tests.unit.shared.conftest import World


def test_a_folder_for_answers_in_a_bucket_that_does_not_exist_is_refused(world: World) -> None:
    check_bucket_exists(ObjectUri(world.models.name, "answers"), "output")
    with pytest.raises(Rejected, match="there is no bucket nowhere-at-all: create it, or correct its name") as caught:
        check_bucket_exists(ObjectUri("nowhere-at-all", "answers"), "output")
    assert (caught.value.problem.code, caught.value.problem.field) == ("no_such_bucket", "output")
