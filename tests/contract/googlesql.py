"""Google's own GoogleSQL parser, and the questions that tests have about its parse trees.

The parser is compiled from WebAssembly, which takes about 45 seconds of CPU time. The result is kept in `.cache`;
`make setup` runs this module to compile it before the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from wasmtime import Config
from zetasql.api import Parser
from zetasql.core import wasm_client
from zetasql.core.exceptions import ServerError
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.types import LanguageOptions, ProductMode

from tests.paths import ROOT

COMPILED = ROOT / ".cache" / "googlesql"


def _config_with_cache() -> Config:
    """Return wasmtime's configuration, which the library does not let its callers choose, with a cache on disk."""
    COMPILED.mkdir(parents=True, exist_ok=True)
    file = COMPILED / "wasmtime.toml"
    file.write_text(f"[cache]\ndirectory = {json.dumps(str(COMPILED))}\n", encoding="utf-8")
    config = Config()
    config.cache = str(file)
    return config


wasm_client.Config = _config_with_cache


@cache
def _options() -> LanguageOptions:
    return LanguageOptions.maximum_features()


@cache
def options_outside_google() -> LanguageOptions:
    """Return the options of the language for products outside Google, whose types are FLOAT64 and not DOUBLE."""
    return replace(_options(), product_mode=ProductMode.PRODUCT_EXTERNAL)


@cache
def functions() -> frozenset[str]:
    """Return the names in upper case of the functions that GoogleSQL has in products outside Google."""
    answer = ZetaSqlLocalService.get_instance().get_builtin_functions(language_options=options_outside_google())
    names = {".".join(function.name_path).upper() for function in answer.function}
    names |= {(function.options.alias_name or "").upper() for function in answer.function if function.options}
    return frozenset(name for name in names if name and not name.startswith("$"))


def parse(sql: str) -> Any:
    """Return the parse tree of ``sql``, which is one statement; raise ``ServerError`` if it is not."""
    return Parser.parse_statement_static(sql, _options())


def parses(sql: str) -> Any | None:
    """Return the parse tree of ``sql``, or None if it is not one statement."""
    try:
        return parse(sql)
    except (ServerError, UnicodeDecodeError):
        # The text of an error may be cut within a character, which the library does not expect.
        return None


def kind(node: Any) -> str:
    """Return the kind of a node, such as ASTQueryStatement."""
    return type(node).__name__


def nodes(tree: Any) -> Iterator[Any]:
    """Yield every node of a tree."""
    if is_dataclass(tree) and not isinstance(tree, type):
        if kind(tree).startswith("AST"):
            yield tree
        for each in fields(tree):
            yield from nodes(getattr(tree, each.name))
    if isinstance(tree, (list, tuple)):
        for each in tree:
            yield from nodes(each)


def names(tree: Any) -> list[str]:
    """Return every dotted name of a tree as BigQuery reads it: unquoted, unescaped, in the order of the text."""
    paths = (node for node in nodes(tree) if kind(node) == "ASTPathExpression")
    return [".".join(name.id_string for name in path.names) for path in paths]


def calls(tree: Any) -> list[str]:
    """Return the dotted name of every function and table function that is called, in the order of the tree."""
    called = {"ASTFunctionCall": "function", "ASTTVF": "name"}
    paths = (getattr(node, called[kind(node)]) for node in nodes(tree) if kind(node) in called)
    return [".".join(name.id_string for name in path.names) for path in paths]


def strings(tree: Any) -> list[str]:
    """Return the value of every string literal."""
    return [node.string_value for node in nodes(tree) if kind(node) == "ASTStringLiteral"]


if __name__ == "__main__":
    parse("SELECT 1")
