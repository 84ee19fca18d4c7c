"""What a batch will probably use: requests, characters, tokens, and money if prices are set.

Tokens are estimated from characters, since only the model counts them: "a token is equivalent to about 4 characters".
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/get-token-count
Files are counted and not estimated: their tokens depend on sizes, lengths and the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from shared.batches.inputs.parts import part_count
from shared.batches.inputs.rules import LIMITS, InputCheck, Requests

CHARACTERS_PER_TOKEN = 4
_MILLION = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """What a batch will probably use."""

    requests: int
    jobs: int
    """How many jobs the requests need."""
    characters: int
    """The characters of all texts."""
    files: int
    """How many files the requests name. Their tokens are not in ``input_tokens``."""
    input_tokens: int
    """The tokens of all texts: a fourth of the characters."""
    most_answer_tokens: int | None
    """The most tokens that the answers can have; None if a request does not limit them."""
    input_cost: float | None
    """The price of the input tokens; None if no price is set for the model."""
    most_answer_cost: float | None
    """The price of the most answer tokens; None if it is not known."""

    def as_json(self) -> dict[str, int | float | None]:
        """Return the estimate as an event publishes it."""
        return asdict(self)


def estimate(
    check: InputCheck,
    model: str,
    prices: Iterable[tuple[str, float, float]],
    kind: Requests = Requests.GENERATE,
) -> Estimate:
    """Return what a batch will probably use.

    Args:
        check: What the check of its input found.
        model: The resource name of the model, or its id.
        prices: The id of each model with a price, and its prices of a million input and of a million answer tokens.
        kind: The kind of the requests.
    """
    tokens = math.ceil(check.characters / CHARACTERS_PER_TOKEN)
    price = next((each[1:] for each in prices if each[0] == model.rpartition("/")[2]), None)
    answers = check.answer_tokens
    return Estimate(
        requests=check.requests,
        jobs=part_count(check.requests, most=LIMITS[kind]),
        characters=check.characters,
        files=check.files,
        input_tokens=tokens,
        most_answer_tokens=answers,
        input_cost=None if price is None else _cost(tokens, price[0]),
        most_answer_cost=None if price is None or answers is None else _cost(answers, price[1]),
    )


def _cost(tokens: int, price: float) -> float:
    return round(tokens * price / _MILLION, 6)
