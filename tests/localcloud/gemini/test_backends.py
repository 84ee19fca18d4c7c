"""The choice of a backend by name."""

from __future__ import annotations

import pytest

from localcloud.gemini.backends import backend_from


@pytest.mark.parametrize("name", ["", "echoes", "openai", "openai:", "echo:x"])
def test_an_unknown_backend_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="model backend"):
        backend_from(name)
