"""The rows between two pipe operators, as the parts of a SELECT statement."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rows:
    """A SELECT statement in parts.

    Attributes:
        source: The text of the FROM clause.
        tables: The names of the tables of the FROM clause whose columns can be named with a dot, in lower case.
        kept: The columns of the source that are rows of earlier tables, because later operators name their columns.
        columns: The text of the SELECT clause.
        conditions: The conditions of the WHERE clause.
        after: What follows the WHERE clause: GROUP BY, HAVING and WINDOW.
        order: The ORDER BY clause.
        limit: The LIMIT clause.
        expressions: The common table expressions that later operators can read.
    """

    source: str
    tables: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    columns: str = "*"
    conditions: tuple[str, ...] = ()
    after: str = ""
    order: str = ""
    limit: str = ""
    expressions: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The statement with all columns, also those that are kept."""
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        return f"SELECT {self.columns} FROM {self.source}{where}{self.after}{self.order}{self.limit}"

    @property
    def visible(self) -> str:
        """The statement without the columns that are kept."""
        return f"SELECT * EXCEPT ({', '.join(self.kept)}) FROM ({self.query})" if self.kept else self.query

    @property
    def selects_all(self) -> bool:
        """Whether no operator has changed the columns since the FROM clause."""
        return self.columns == "*" and not self.after

    def nested(self, named: AbstractSet[str]) -> Rows:
        """Return the same rows with an empty statement around them; ``named`` are the tables that are named from here on."""
        if self.selects_all and not (self.conditions or self.order or self.limit):
            return self
        if not self.selects_all:  # an operator that changes the columns keeps the rows of the tables itself
            return self._from(f"({self.query})", (), self.kept)
        if len(self.tables) == 1 and not self.kept:
            return self._from(f"({self.query}) AS `{self.tables[0]}`", self.tables, ())
        keeping = self._keeping("*", named)
        return self._from(f"({keeping.query})", (), keeping.kept)

    def projected(self, columns: str, later: AbstractSet[str], *, named: AbstractSet[str], after: str = "") -> Rows:
        """Return the rows with other columns, and the rows of the tables whose columns are named later.

        Args:
            columns: The text of the SELECT clause.
            later: The tables that the operators behind this one name.
            named: The same, with those that this one names.
            after: The WINDOW clause.
        """
        return replace(self.unordered(named)._keeping(columns, later), after=after)

    def selected(self, columns: str, named: AbstractSet[str], after: str = "", order: str = "") -> Rows:
        """Return the rows with columns that hide all columns and tables before them."""
        return replace(self.unordered(named), columns=columns, after=after, order=order, kept=(), tables=())

    def unordered(self, named: AbstractSet[str]) -> Rows:
        """Return the rows in a form to which a WHERE or SELECT clause can be added."""
        return self if self.selects_all and not (self.order or self.limit) else self.nested(named)

    def inside(self, source: str, *tables: str) -> Rows:
        """Return the rows of a FROM clause that has these rows in it."""
        return self._from(source, tables, ())

    def _keeping(self, columns: str, named: AbstractSet[str]) -> Rows:
        kept = [table for table in self.tables if table in named]
        columns = ", ".join([columns, *(f"`{table}` AS `{table}`" for table in kept)])
        return replace(self, columns=columns, kept=(*self.kept, *kept))

    def _from(self, source: str, tables: tuple[str, ...], kept: tuple[str, ...]) -> Rows:
        return Rows(source, tables, kept, expressions=self.expressions)
