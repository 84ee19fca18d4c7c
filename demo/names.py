"""The names of topics, subscriptions and buckets, as the declaration has them."""

from __future__ import annotations

from functools import cache

from declaration.model import Declaration
from declaration.reading import read_declaration
from declaration.resources import Topic
from localcloud.config import CloudConfig


@cache
def declared() -> Declaration:
    """Return the declaration that the local cloud of the demo runs."""
    return read_declaration(CloudConfig().declaration)


def topic(variable: str) -> Topic:
    """Return the topic whose name the functions get in ``variable``."""
    return next(each for each in declared().topics.values() if each.env == variable)


def model_bucket(project: str) -> str:
    """Return the name of the model bucket in ``project``."""
    return next(each.name_in(project) for each in declared().buckets.values() if each.env == "MODEL_BUCKET")
