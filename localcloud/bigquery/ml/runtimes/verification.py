"""Loads a booster in a separate process first, because XGBoost crashes when it loads a broken file in binary format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localcloud.bigquery.ml.model_errors import InvalidModel

TIMEOUT_SECONDS = 120.0

# XGBoost imports pandas and scikit-learn if it can, which takes longer than the rest and is not needed here.
_PROGRAM = """
import sys
sys.modules["pandas"] = sys.modules["sklearn"] = None
import numpy, xgboost
booster = xgboost.Booster()
booster.load_model(sys.argv[1])
booster.predict(xgboost.DMatrix(numpy.zeros((1, booster.num_features()), numpy.float32)), validate_features=False)
"""


def verify_booster(file: Path) -> None:
    """Load a booster and predict one row in a separate process. JSON files don't need this check and are skipped.

    Raises:
        InvalidModel: The booster can't be loaded, or loading it takes too long.
    """
    with file.open("rb") as content:
        if content.read(1) in (b"", b"{"):
            return
    try:
        process = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InvalidModel("The file is not an XGBoost model: loading it takes too long.") from None
    if process.returncode != 0:
        raise InvalidModel("The file is not an XGBoost model, or it is incomplete: it can't be loaded.")
