"""The error of an export."""

from __future__ import annotations

from shared.errors import ModeldropError


class ExportError(ModeldropError):
    """A model cannot be exported. The text says why and what to do. No output was written."""
