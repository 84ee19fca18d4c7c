"""A running BigQuery with the iris data set, shared by the tests of all runtimes in a process."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.localcloud.bigquery.ml.runtimes.iris import NAMES
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world


@pytest.fixture(scope="package")
def iris() -> tuple[np.ndarray, np.ndarray]:
    """The features (150 x 4) and labels of the iris data set."""
    from sklearn.datasets import load_iris  # slow to import, and every process of `make test` imports this file

    features, labels = load_iris(return_X_y=True)
    return features.astype(np.float32), labels


@pytest.fixture(scope="package")
def world(iris: tuple[np.ndarray, np.ndarray]) -> Iterator[MlWorld]:
    """A running BigQuery with the table ``d.iris``."""
    with ml_world() as running:
        columns = ", ".join(f"{{}} AS {name}" for name in ("n", *NAMES))
        rows = ", ".join(
            f"STRUCT({columns.format(number, *(round(float(value), 1) for value in row))})"
            for number, row in enumerate(iris[0])
        )
        running.run(f"CREATE TABLE d.iris AS SELECT *, 'setosa' AS species FROM UNNEST([{rows}])")
        yield running
