"""The interface of a loaded model, which is the same for all libraries."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from localcloud.bigquery.ml.models.signature import Signature


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        signature: The inputs and outputs.
        batch: The number of rows in one call, or None for any number.
    """

    signature: Signature
    batch: int | None

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's outputs for a batch of rows. Several threads call this at once.

        Args:
            feeds: An array for each input, with the rows in the first dimension. Strings are object arrays of bytes.

        Returns:
            An array for each output, with the rows in the first dimension.
        """
        ...
