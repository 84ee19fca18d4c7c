"""What a batch will probably use: requests, characters, tokens, and money if prices are set.

Tokens are estimated from characters, since only the model counts them: "a token is equivalent to about 4 characters".
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/get-token-count
Files are counted and not estimated: their tokens depend on sizes, lengths and the model.
"""

from __future__ import annotations

import math

from shared.batch_work import RequestCheck
from shared.batches.inputs.parts import part_count
from shared.batches.inputs.rules import LIMITS, InputCheck, Requests
from shared.settings import Settings

CHARACTERS_PER_TOKEN = 4
_MILLION = 1_000_000


def estimate(
    check: InputCheck,
    model: str,
    settings: Settings,
    kind: Requests = Requests.GENERATE,
) -> RequestCheck:
    """Return what a batch will probably use.

    Args:
        check: What the check of its input found.
        model: The resource name of the model, or its id.
        settings: The settings, for the prices of models and the most requests of a job.
        kind: The kind of the requests.
    """
    tokens = math.ceil(check.characters / CHARACTERS_PER_TOKEN)
    price = next((each[1:] for each in settings.gemini_prices if each[0] == model.rpartition("/")[2]), None)
    answers = check.answer_tokens
    return RequestCheck(
        requests=check.requests,
        jobs=part_count(check.requests, most=min(settings.max_batch_requests, LIMITS[kind])),
        characters=check.characters,
        files=check.files,
        input_tokens=tokens,
        answer_tokens=answers,
        input_cost=None if price is None else _cost(tokens, price[0]),
        answer_cost=None if price is None or answers is None else _cost(answers, price[1]),
    )


def _cost(tokens: int, price: float) -> float:
    return round(tokens * price / _MILLION, 6)
