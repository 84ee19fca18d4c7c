"""Predicts rows with the XGBoost that BigQuery runs, and prints the predictions as JSON.

python -m tests.foreign_models.old_xgboost MODEL ROWS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import xgboost

if __name__ == "__main__":
    assert xgboost.__version__ == "1.5.1"
    booster = xgboost.Booster(model_file=sys.argv[1])
    rows = np.array(json.loads(Path(sys.argv[2]).read_text()), np.float32)
    print(json.dumps(booster.predict(xgboost.DMatrix(rows), validate_features=False).tolist()))  # noqa: T201
