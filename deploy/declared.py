"""The declaration that is deployed."""

from __future__ import annotations

from pathlib import Path

from declaration.model import Declaration
from declaration.reading import read_declaration
from shared.settings import problem_of

DECLARATION = Path(__file__).with_name("functions.yaml")
IMPORT_TOPIC = "models"
"""The key of the topic that takes requests to import a drop: dead letters of uploads are replayed to it."""


def read(path: Path = DECLARATION, environment: str | None = None, project: str | None = None) -> Declaration:
    """Return the declaration in ``path``, as it is in ``environment`` of ``project``.

    Raises:
        DeclarationError: The file cannot be read, or something in it is wrong, such as a setting.
    """
    return read_declaration(
        path, environment=environment, project=project, required_topics=[IMPORT_TOPIC], check_setting=problem_of
    )
