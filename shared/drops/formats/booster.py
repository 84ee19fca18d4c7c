"""Recognizes an XGBoost model in JSON by its beginning.

https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
"""

from __future__ import annotations

import re

from shared.drops import limits
from shared.drops.formats.model_file import ModelFile

_BEGINNING = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')


def is_booster(file: ModelFile) -> bool:
    """Return whether a JSON file is an XGBoost model."""
    beginning = file.read(0, min(file.size, limits.BOOSTER_BYTES))
    return _BEGINNING.match(beginning) is not None
