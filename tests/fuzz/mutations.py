"""Wrong input: values of every sort, and valid requests with a few changes."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.example_requests import (
    BATCH_REQUEST,
    MANAGE_MESSAGE,
    PREDICT_MESSAGE,
    without,
)

# Texts with a meaning in SQL, paths, YAML or JSON, or that are hard to compare.
NASTY = (
    *(
        "",
        " ",
        "\0",
        "\n",
        "\r",
        "\t",
        "\u2028",
        "\u00a0",
        "\ufeff",
        "\u202e",
        "é",
        "e\u0301",
        "\U0001f600",
        "\ud800",
        "ſ",
    ),
    *(
        "`",
        "'",
        '"',
        "\\",
        ";",
        "--",
        "/*",
        "*/",
        "#",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "{date}",
        "{hour}",
        "{week}",
        "%s",
    ),
    *("/", "//", "..", ".", "*", "?", "$", "@", "|>", "$20261120", "gs://", "bq://", "null", "NaN", "1e999", "9" * 400),
    *(
        "'; DROP TABLE x; --",
        "` UNION ALL SELECT 1 --",
        ") UNION ALL (SELECT 1",
        "SELECT AI.GENERATE('x')",
        "a.b.c.d.e",
    ),
    *("x" * 1025, "modeldrop_key", "__proto__", "select", "_", "-", "0", "true"),
)
TEXTS = st.sampled_from(NASTY) | st.text(st.characters(), max_size=20)
SCALARS = st.one_of(
    TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from([2**63, 10**400, 1e308, -0.0, 0, -1])
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)

TABLE_MESSAGE = {
    **PREDICT_MESSAGE,
    "input": {"table": "p-12.news.titles", "columns": {"input": "title"}, "where": "score > @min_score"},
    "output": {"table": "films.answers", "write": "merge", "key": ["id"]},
}
TEXT_MESSAGE = {
    **PREDICT_MESSAGE,
    "function": "AI.GENERATE_TEXT",
    "options": {"temperature": 0.2, "stop_sequences": ["x"], "model_params": {"a": {"b": [1, None]}}},
    "max_rows": 100,
}
PROMPTS_REQUEST = {
    **BATCH_REQUEST,
    "input": {
        "prompts": {"query": "SELECT id, text AS prompt FROM `news.titles`"},
        "system_instruction": "Be kind",
        "generation_config": {"temperature": 0.5},
    },
}
PREDICT_EXAMPLES = (
    {**PREDICT_MESSAGE, "columns": {"drop": ["pixels"]}},
    PREDICT_MESSAGE,
    TABLE_MESSAGE,
    TEXT_MESSAGE,
    without(PREDICT_MESSAGE, "request_id"),
)
BATCH_EXAMPLES = (BATCH_REQUEST, PROMPTS_REQUEST, {**BATCH_REQUEST, "input": "gs://bucket-1/a/b.jsonl", "output": None})
MANAGE_EXAMPLES = (
    MANAGE_MESSAGE,
    {"action": "rollback", "model": "films.genres", "version": "2"},
    {"action": "describe", "model": "p-12.films.genres-2", "request_id": "a", "labels": {"team": "films"}},
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in ``value``."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    if isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for name, each in inner for place in _places(each, (*path, name)))]


@st.composite
def mutated(draw: st.DrawFn, examples: tuple[dict[str, Any], ...]) -> Any:
    """One of ``examples`` with up to three changes, at places and of kinds that are drawn."""
    value: Any = copy.deepcopy(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(value)))
        if not path:
            if isinstance(value, dict):
                value[draw(TEXTS)] = draw(ANYTHING)
            continue
        parent = value
        for name in path[:-1]:
            parent = parent[name]
        last = path[-1]
        match draw(st.sampled_from(["replace", "remove", "rename", "wrap", "damage", "swap", "vary", "vary"])):
            case "replace":
                parent[last] = draw(ANYTHING)
            case "remove":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(TEXTS)] = parent.pop(last)
            case "wrap":
                parent[last] = draw(st.sampled_from([[parent[last]], {"a": parent[last]}]))
            case "damage" if isinstance(parent[last], str):
                text, at = parent[last], draw(st.integers(0, len(parent[last])))
                parent[last] = text[:at] + draw(TEXTS) + text[at + draw(st.integers(0, 3)) :]
            case "vary" if isinstance(parent[last], str) and parent[last]:
                text, at = parent[last], draw(st.integers(0, len(parent[last]) - 1))
                parent[last] = text[:at] + draw(st.sampled_from("abxz019_-.:/")) + text[at + 1 :]
            case "vary" if isinstance(parent[last], int):
                parent[last] = draw(st.integers(1, 20_000_000))
            case "swap" if isinstance(value, dict):
                parent[last] = copy.deepcopy(draw(st.sampled_from(list(value.values()) or [None])))
    return value


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """One of ``texts`` with a few bytes cut out, put in or changed."""
    text = bytearray(draw(texts))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(text)


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """``values`` as JSON texts; NaN, infinities and half surrogate pairs are written as other programs write them."""
    return values.map(lambda value: json.dumps(value).encode())


def messages(examples: tuple[dict[str, Any], ...]) -> st.SearchStrategy[bytes]:
    """Contents of messages: mostly a request with changes, now and then anything at all."""
    return mostly(as_json(mutated(examples)))


def mostly(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly ``texts``, now and then damaged ones, or anything at all."""
    rest = st.one_of(damaged(texts), as_json(ANYTHING), st.binary(max_size=60))
    return st.integers(0, 7).flatmap(lambda dice: texts if dice else rest)
