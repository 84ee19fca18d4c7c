"""The check of the functions' settings: by a command of their source, before they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.functions.settings_check import SettingsError, checked_environment
from tests.conftest import variables

KNOWN = """
import os, sys
if sys.argv[1:] != ["COLOUR"] or os.environ["COLOUR"] == "loud":
    sys.exit(f"{sys.argv[1:]} or {os.environ['COLOUR']} is wrong")
print("COLOUR", "SIZE")
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source whose functions have the settings COLOUR and SIZE."""
    (tmp_path / "known.py").write_text(KNOWN)
    return tmp_path


def test_settings_of_the_own_environment_are_added_and_nothing_else(source: Path) -> None:
    with variables({"COLOUR": "red", "SIZE": "9", "WEIGHT": "7"}):
        assert checked_environment("known", source, {"COLOUR": "blue"}, {"COLOUR"}) == {"COLOUR": "blue", "SIZE": "9"}


@pytest.mark.parametrize(
    ("environment", "names", "problem"),
    [({"COLOUR": "loud"}, {"COLOUR"}, "loud is wrong"), ({"COLOUR": "red"}, {"COLOR"}, "COLOR'\\] or red is wrong")],
    ids=["value", "name"],
)
def test_a_wrong_setting_is_an_error(source: Path, environment: dict[str, str], names: set[str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        checked_environment("known", source, environment, names)
