"""The names of Google's models that messages, checks and errors know."""

from __future__ import annotations

# The model that the documentation, the demo and error messages name. Gemini models since version 3 are served from `global`,
# `us` and `eu`, not from regions, and each id lives about a year:
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/model-versions
DEFAULT_MODEL = "gemini-3.8-flash"

# How the names of embedding models begin, with one that is served:
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
_GEMINI_EMBEDDINGS = {"gemini-embedding-": "gemini-embedding-2"}
_TEXT_EMBEDDINGS = {
    "text-embedding-": "text-embedding-005",
    "text-multilingual-embedding-": "text-multilingual-embedding-002",
    "textembedding-gecko": "text-embedding-005",
}


def is_gemini_embedding(name: str) -> bool:
    """Return whether a name is that of an embedding model of Gemini."""
    return name.startswith(tuple(_GEMINI_EMBEDDINGS))


def is_text_embedding(name: str) -> bool:
    """Return whether a name is that of a text-embedding model."""
    return name.startswith(tuple(_TEXT_EMBEDDINGS))


def served_instead_of(name: str) -> str:
    """Return a model of the same kind that is served."""
    known = _GEMINI_EMBEDDINGS | _TEXT_EMBEDDINGS
    return next((served for beginning, served in known.items() if name.startswith(beginning)), DEFAULT_MODEL)
