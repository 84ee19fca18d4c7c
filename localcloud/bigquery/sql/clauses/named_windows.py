"""Writes out named windows. DuckDB has them, but no window that is the same as another one with a frame.

https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#def_use_named_window
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft

_WINDOW = re.compile(r"\bWINDOW\s+[\w`]+\s+AS\b", re.IGNORECASE)
_PARTS = ("partition_by", "order", "spec")


def named_windows(select: exp.Expr | None) -> dict[str, exp.Window]:
    """Return the windows of a WINDOW clause by their names in lower case."""
    clause = select.args.get("windows") if isinstance(select, exp.Select) else None
    return {window.name.lower(): window for window in clause or ()}


def whole_window(window: exp.Window, named: Mapping[str, exp.Window]) -> dict[str, object]:
    """Return the PARTITION BY, ORDER BY and frame of a window, with those of the windows that it names."""
    found: dict[str, object] = {}
    followed: set[str] = set()
    current: exp.Window | None = window
    while current is not None:
        found |= {part: current.args[part] for part in _PARTS if current.args.get(part) and part not in found}
        name = current.alias.lower()
        current = None if not name or name in followed else named.get(name)
        followed.add(name)
    return found


def write_out_windows(draft: Draft) -> None:
    """Write named windows where a statement of GoogleSQL names them."""
    tree = draft.tree if _WINDOW.search(draft.text) is not None else None
    if tree is None:
        return
    for select in list(tree.find_all(exp.Select)):
        named = named_windows(select)
        if not named:
            continue
        for window in list(select.find_all(exp.Window)):
            if window.alias.lower() in named and window.arg_key != "windows":
                for part, value in whole_window(window, named).items():
                    window.set(part, _copied(value))
                window.set("alias", None)
        select.set("windows", None)
    draft.changed(tree)


def _copied(value: object) -> object:
    if isinstance(value, list):
        return [each.copy() for each in value]
    return value.copy() if isinstance(value, exp.Expr) else value
