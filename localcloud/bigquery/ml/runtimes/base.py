"""What every loaded model has, whichever library runs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from localcloud.bigquery.ml.signature import Signature


class ModelRefused(Exception):
    """A model file that BigQuery would not import; the text says why."""


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        signature: Its inputs and outputs.
        batch: How many rows one call takes, or None for any number.
    """

    signature: Signature
    batch: int | None

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs for a batch of inputs, each with the rows in its first dimension.

        Strings are arrays of objects holding bytes. Called by several threads at once.
        """
        ...
