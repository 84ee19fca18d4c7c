"""A first look at a booster in a process of its own: the loader of XGBoost's binary format dies of broken files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localcloud.bigquery.ml.runtimes.base import ModelRefused

TIMEOUT_SECONDS = 120.0

_PROGRAM = """
import sys, numpy, xgboost
booster = xgboost.Booster()
booster.load_model(sys.argv[1])
booster.predict(xgboost.DMatrix(numpy.zeros((1, booster.num_features()), numpy.float32)), validate_features=False)
"""


def verify_booster(file: Path) -> None:
    """Load a booster and predict one row with it, elsewhere. One that is not in the binary format needs no such care.

    Raises:
        ModelRefused: That failed or did not end.
    """
    with file.open("rb") as content:
        if content.read(1) in (b"", b"{"):
            return
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelRefused("The file is no XGBoost model: loading it does not end.") from None
    if ended.returncode != 0:
        raise ModelRefused("The file is no XGBoost model, or it is not whole: it can't be loaded.")
