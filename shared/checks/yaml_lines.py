"""The line of a YAML file that an error is about."""

from __future__ import annotations

import re

import yaml

# A step of a field's path: a name, or the index of a list.
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def line_of(text: str, path: str) -> int | None:
    """Return the line, from 1, of the field at a dotted path such as `check.rows[1].expected`.

    Of a field that is missing, the line of the object that lacks it is returned; None if the file has no such object.

    Args:
        text: The file, which is valid YAML.
        path: The path of the field; empty for the file itself.
    """
    node = yaml.compose(text, yaml.SafeLoader)
    line = None if node is None else node.start_mark.line + 1
    for name, index in _STEP.findall(path):
        found = None
        if name and isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if getattr(key, "value", None) == name), None)
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            found = (node.value[int(index)], node.value[int(index)])
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line
