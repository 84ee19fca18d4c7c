"""One statement of GoogleSQL while it is translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.reading.types import mark_types


class Draft:
    """The text and the tree of a statement, each made from the other when it is needed, and the types of its parts.

    To parse a statement and to find its types takes most of the time of a translation. So the passes share both until one of
    them changes the statement.

    Attributes:
        schema: The types of the columns of the statement's tables, in nested mappings whose innermost keys are columns; or
            None.
    """

    def __init__(
        self, text: str, schema: Mapping[str, Any] | None = None, parameters: Mapping[str, exp.DataType] | None = None
    ) -> None:
        """Start with the text of a statement, and the types of its parameters by their names."""
        self.schema = schema
        self._parameters = parameters
        self._text: str | None = text
        self._tree: exp.Expr | None = None
        self._is_parsed = False
        self._knows_types: bool | None = None

    @property
    def text(self) -> str:
        """The statement as a text."""
        if self._text is None and self._tree is not None:
            self._text = self._tree.sql(dialect="bigquery")
        return self._text or ""

    @text.setter
    def text(self, text: str) -> None:
        self._text, self._tree, self._is_parsed, self._knows_types = text, None, False, None

    @property
    def tree(self) -> exp.Expr | None:
        """The statement as a tree; None if sqlglot cannot parse it, whose error is reported later.

        Call ``changed`` after a change of the tree.
        """
        if not self._is_parsed:
            self._tree = parsed(self.text)
            self._is_parsed = True
        return self._tree

    def changed(self, tree: exp.Expr, *, keeps_types: bool = False) -> None:
        """Go on with a tree in place of the text.

        Args:
            tree: The changed tree, or another one.
            keeps_types: Whether the types that ``mark_types`` has found are still those of the parts.
        """
        self._tree, self._is_parsed, self._text = tree, True, None
        if not keeps_types:
            self._knows_types = None

    def mark_types(self) -> bool:
        """Mark the parts of the tree with their types, which ``type_of`` returns; return whether any is known."""
        if self._knows_types is None:
            self._knows_types = self.tree is not None and mark_types(
                self.tree, self.schema, parameters=self._parameters
            )
        return self._knows_types
