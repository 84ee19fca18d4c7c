"""The model of Modeldrop's docs and demo is one that the local Vertex AI serves."""

from __future__ import annotations

import pytest

from localcloud.gemini.models import EVERYWHERE, MODELS
from shared.cloud.publisher_models import DEFAULT_MODEL


@pytest.mark.parametrize("location", EVERYWHERE)
def test_the_default_model_accepts_batches_everywhere(location: str) -> None:
    model = MODELS[DEFAULT_MODEL]
    assert model.is_served_in(location)
    assert (model.batch, model.embeds, model.stage) == (True, False, "GA")
