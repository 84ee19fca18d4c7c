"""The text of a YAML document: its values, and the line of each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

FieldPath = tuple[str | int, ...]
"""Where a value is: the keys and positions that lead to it from the top of the document."""


class DocumentError(ValueError):
    """The text is not a document that can be read."""

    def __init__(self, line: int, problem: str) -> None:
        """Describe a ``problem`` in the line with the number ``line``, counted from 1."""
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A YAML document."""

    value: Any
    lines: Mapping[FieldPath, int]
    """The line of every field and list item, counted from 1."""

    def line(self, path: FieldPath) -> int:
        """Return the line of ``path``, or of the nearest field around it if the document does not have it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


def parse_document(text: str) -> Document:
    """Return the only document in ``text``.

    Raises:
        DocumentError: The text is not YAML, a field is given twice, or a value contains itself.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        lines = dict(_lines(node, (), ()))
        return Document(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DocumentError(mark.line + 1 if mark else 1, f"this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(1, f"this is not YAML: {error}") from error
    finally:
        loader.dispose()


def _lines(node: yaml.Node, path: FieldPath, around: tuple[yaml.Node, ...]) -> Iterator[tuple[FieldPath, int]]:
    if node in around:
        raise DocumentError(_line(node), f"{dotted(path)} contains itself")
    if isinstance(node, yaml.MappingNode):
        given: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in given:
                raise DocumentError(_line(key), f"{dotted((*path, name))} is given twice")
            given.add(name)
            yield (*path, name), _line(key)
            yield from _lines(value, (*path, name), (*around, node))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield (*path, position), _line(value)
            yield from _lines(value, (*path, position), (*around, node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def dotted(path: FieldPath) -> str:
    """Return ``path`` as people write it: ``functions.predict.memory``, ``accounts.build.roles[2]``."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return parts.removeprefix(".")
