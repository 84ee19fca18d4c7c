"""The columns of the predictions that a message keeps or leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.checks.fields import Fields
from shared.checks.identifiers import column_sql
from shared.checks.suggestions import closest
from shared.errors import Rejected

# https://docs.cloud.google.com/bigquery/docs/schemas#column_names
LONGEST_COLUMN = 300
# "Columns in a table, query result, or view definition": https://docs.cloud.google.com/bigquery/quotas#standard_tables
MOST_COLUMNS = 10_000

_EXAMPLE = '{"keep": ["id", "score"]} or {"drop": ["pixels"]}'


@dataclass(frozen=True)
class ChosenColumns:
    """The columns to write: those of ``keep``, in their order, or all but those of ``drop``."""

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @classmethod
    def read(cls, message: Fields) -> ChosenColumns | None:
        """Read the field `columns` of a message; return None if the message does not have it.

        Raises:
            Rejected: It names no column, or one twice, or has both `keep` and `drop`.
        """
        if not message.has("columns"):
            message.plain("columns")
            return None
        fields = message.nested("columns", example=_EXAMPLE)
        keep, drop = fields.texts("keep"), fields.texts("drop")
        fields.reject_unknown()
        if bool(keep) == bool(drop):
            raise fields.wrong("", f"must name columns in either keep or drop: write {_EXAMPLE}", code="missing_field")
        name, names = ("keep", keep) if keep else ("drop", drop)
        if len(names) > MOST_COLUMNS:
            raise fields.wrong(name, f"has {len(names):,} columns, and a table has at most {MOST_COLUMNS:,}")
        seen: set[str] = set()
        for index, column in enumerate(names):
            if not column.strip() or len(column) > LONGEST_COLUMN:
                raise fields.wrong(f"{name}[{index}]", f"must have 1 to {LONGEST_COLUMN} characters")
            if column.lower() in seen:
                raise fields.wrong(f"{name}[{index}]", f"names {column[:80]} again; name each column once")
            seen.add(column.lower())
        return cls(keep, drop)

    @property
    def sql(self) -> str:
        """The select list of a query whose rows are the predictions."""
        if self.keep:
            return ", ".join(map(column_sql, self.keep))
        return f"* EXCEPT ({', '.join(map(column_sql, self.drop))})"

    def of(self, columns: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        """Return the chosen ones of all columns of the predictions, in the order in which they are written.

        Args:
            columns: All columns, each as BigQuery's TableFieldSchema, as a dry run shows them.

        Raises:
            Rejected: A chosen column does not exist, or has another spelling, or none is left.
        """
        field, names = ("keep", self.keep) if self.keep else ("drop", self.drop)
        existing = {str(column["name"]): column for column in columns}
        for index, name in enumerate(names):
            if name not in existing:
                raise _unknown(name, f"columns.{field}[{index}]", tuple(existing))
        if self.keep:
            return tuple(existing[name] for name in self.keep)
        left = tuple(column for column in columns if column["name"] not in self.drop)
        if not left:
            raise Rejected("columns.drop names all columns; keep at least one", field="columns.drop", code="no_column")
        return left


def _unknown(name: str, field: str, existing: tuple[str, ...]) -> Rejected:
    # BigQuery would accept a name in another case, and `keep` would rename the column.
    right = closest(name, existing)
    meant = f"; did you mean {right}? The columns" if right else "; these"
    return Rejected(
        f"{field} is {name[:80]!r}, which is not a column of the predictions{meant} are {', '.join(existing)[:1000]}",
        field=field,
        code="unknown_column",
    )
