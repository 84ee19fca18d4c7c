"""Replaces the functions and conversions of a statement whose results differ in DuckDB."""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.functions import aggregates, arrays, casts, geography, networks, ranges, type_names
from localcloud.bigquery.sql.functions.formats import cast_clause, printing
from localcloud.bigquery.sql.functions.json import changes as json_changes
from localcloud.bigquery.sql.functions.json import lax as json_lax
from localcloud.bigquery.sql.functions.json import output as json_output
from localcloud.bigquery.sql.functions.json import parsing as json_parsing
from localcloud.bigquery.sql.functions.json import values as json_values
from localcloud.bigquery.sql.functions.nodes import Rule, call, columns_of
from localcloud.bigquery.sql.functions.numbers import decimals, distances, mathematics, operators
from localcloud.bigquery.sql.functions.texts import (
    byte_patterns,
    byte_strings,
    capitals,
    parts,
    regular_expressions,
    sounds,
)
from localcloud.bigquery.sql.functions.times import checked_texts, dates, zones
from localcloud.bigquery.sql.functions.times import texts as time_texts
from localcloud.bigquery.sql.reading.draft import Draft

_MODULES = (
    aggregates,
    arrays,
    zones,
    dates,
    casts,
    parts,
    byte_strings,
    byte_patterns,
    capitals,
    regular_expressions,
    json_output,
    json_changes,
    json_lax,
    json_parsing,
    json_values,
    mathematics,
    networks,
    operators,
    printing,
    ranges,
    time_texts,
    distances,
    type_names,
    geography,
    sounds,
)
_OTHERS = (cast_clause, checked_texts)
MACROS: tuple[str, ...] = tuple(macro for module in (decimals, *_MODULES, *_OTHERS) for macro in module.MACROS)
"""The DuckDB macros that the rewritten SQL calls."""

_RULES: dict[type[exp.Expr], Rule] = {kind: rule for module in _MODULES for kind, rule in module.RULES.items()}
_BY_NAME: dict[str, dict[int, str]] = (
    arrays.BY_NAME | geography.BY_NAME | dates.BY_NAME | json_values.BY_NAME | ranges.BY_NAME
)
_BYTES = frozenset({"BLOB", "BYTES"})
_SAFE = frozenset(re.findall(r"MACRO (_safe_\w+)", "\n".join(MACROS)))
_MAY_CONCERN = re.compile(
    rf"\b(?:{'|'.join(word for module in _MODULES for word in module.WORDS)})\s*\("
    r"|\b(?:(?:BIG)?(?:NUMERIC|DECIMAL)|DATE|DATETIME|TIMESTAMP|TIME)\s*['\"]"
    r"|\bHAVING\s+M(?:AX|IN)\b|\||\bLIKE\b|[&~^]|<<|>>",
    re.IGNORECASE,
)
_NEEDS_TYPES = re.compile(r"\bGENERATE_ARRAY\b|\bRANGE_CONTAINS\b|\bFORMAT\s*\(|\bAS\s+TIME", re.IGNORECASE)


def call_macros(draft: Draft) -> None:
    """Call macros in place of the functions of one statement of GoogleSQL whose results differ in DuckDB.

    Raises:
        QueryError: A function does not support one of its arguments.
    """
    if _MAY_CONCERN.search(draft.text) is None:
        return
    tree = draft.tree
    if tree is None:
        return
    if _NEEDS_TYPES.search(draft.text) is not None:
        draft.mark_types()
    byte_strings.mark_columns(tree, columns_of(draft.schema, _BYTES))
    changed = regular_expressions.replace_invalid(tree)
    for node in reversed(list(tree.walk())):
        replacement = _replacement(node)
        if replacement is None:
            continue
        changed = True
        if replacement is not node:
            node.replace(replacement)
    if changed:
        draft.changed(tree)


def _replacement(node: exp.Expr) -> exp.Expr | None:
    if isinstance(node, exp.Anonymous):
        geography.reject_planar(node.name.upper())
        macro = _BY_NAME.get(node.name.upper(), {}).get(len(node.expressions))
        if macro is not None:
            return call(macro, *node.expressions)
    if isinstance(node, exp.SafeFunc):
        return _safe(node.this)
    rule = _RULES.get(type(node))
    return None if rule is None else rule(node)


def _safe(called: exp.Expr) -> exp.Expr | None:
    """Return the call of the macro that returns NULL instead of an error, or None if DuckDB's TRY does so."""
    if isinstance(called, exp.Cast):
        return exp.TryCast(this=called.this.copy(), to=called.to.copy())
    if not isinstance(called, exp.Anonymous) or not called.name.startswith(("_", "bqemu_")):
        return None
    name = f"_safe{called.name}"
    return call(name, *called.expressions) if name in _SAFE else None
