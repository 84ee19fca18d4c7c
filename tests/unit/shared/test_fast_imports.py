import gc

import pytest

from shared.fast_imports import fast_imports


def test_the_collector_is_off_within_the_block_and_on_after_it() -> None:
    with fast_imports():
        within = gc.isenabled()

    assert (within, gc.isenabled()) == (False, True)


def test_the_collector_is_on_again_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), fast_imports():
        raise ImportError("there is no module of this name")

    assert gc.isenabled()
