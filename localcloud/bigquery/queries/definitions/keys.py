"""Carries out PRIMARY KEY and FOREIGN KEY in CREATE TABLE and ALTER TABLE.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_statement
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_add_primary_key_statement
"""

from __future__ import annotations

from collections.abc import Iterator

from bqemulator.catalog.models import TableFieldSchema, TableMeta

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import legacy_type
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, TableName
from localcloud.bigquery.sql.reading.tokens import Cursor, Token
from localcloud.bigquery.tables.columns.keys import ForeignKey, Keys, keys_of, set_keys
from localcloud.bigquery.tables.writing.destinations import Destinations

_KEYS = ("PRIMARY KEY", "FOREIGN KEY")  # each is one token
_NOT_ENFORCED = "{} must be NOT ENFORCED, because BigQuery does not enforce keys"


def declared_keys(statement: Statement, statements: Statements) -> Keys:
    """Return the keys in the list of columns of a CREATE TABLE. Raises ``QueryError`` if one is not valid."""
    if statement.kind not in ("CREATE_TABLE", "CREATE_TABLE_AS_SELECT") or statement.is_temporary:
        return Keys()
    cursor = Cursor(statement.sql)
    while (token := cursor.peek()) is not None and not token.is_word("TABLE"):
        cursor.take()
    if token is None:
        return Keys()
    cursor.take()
    cursor.take_words("IF", "NOT", "EXISTS")
    cursor.take_path()
    if not cursor.take_symbol("("):
        return Keys()
    declared = _Declared(statements)
    for first, last in _items(cursor):
        declared.read(Cursor(statement.sql, first, last))
    return Keys(declared.primary, tuple(declared.foreign))


def check_keys(keys: Keys, fields: tuple[TableFieldSchema, ...], destinations: Destinations) -> None:
    """Raise ``QueryError`` if a key of a table with these columns names a column or a table that does not exist."""
    own = {field.name.lower(): field for field in fields}
    for column in keys.primary:
        if column.lower() not in own:
            raise QueryError(
                f"Unsupported primary key column {column} either does not exist or is a pseudocolumn", location="query"
            )
    for key in keys.foreign:
        other = destinations.get(key.table)
        if other is None:
            raise NotFound(f"Not found: Table {key.table}")
        others = {field.name.lower(): field for field in other.schema_.fields}
        for column, referenced in zip(key.columns, key.referenced, strict=True):
            if column.lower() not in own:
                raise QueryError(
                    f"Unsupported foreign key column {column} either does not exist or is a pseudocolumn",
                    location="query",
                )
            if referenced.lower() not in others:
                raise QueryError(f"Column name {referenced} not found in {key.table.table}", location="query")
            if legacy_type(own[column.lower()].type) != legacy_type(others[referenced.lower()].type):
                raise QueryError(
                    f"Referenced column {referenced} from {key.table.table} is not compatible with the referencing column "
                    f"{column}",
                    location="query",
                )


def alter_keys(statement: Statement, statements: Statements) -> bool:
    """Carry out an ALTER TABLE that adds or drops a key; return False for any other statement.

    Raises:
        NotFound: The table does not exist.
        QueryError: The key exists already, does not exist, or is not valid.
    """
    if statement.kind != "ALTER_TABLE":
        return False
    cursor = Cursor(statement.sql)
    cursor.take()
    cursor.take()
    exists = cursor.take_words("IF", "EXISTS")
    parts, _ = cursor.take_path()
    adds, drops = cursor.take_words("ADD"), cursor.take_words("DROP")
    following = cursor.peek()
    if not (adds or drops) or following is None or not _is(following, "CONSTRAINT", *_KEYS):
        return False
    name = table_name(parts, statements.project, statements.default_dataset)
    table = statements.destinations.get(name)
    if table is None:
        if exists:
            return True
        raise NotFound(f"Not found: Table {name} was not found in location {statements.location}")
    before = keys_of(statements.engine, name)
    after = _added(cursor, name, table, before, statements) if adds else _dropped(cursor, name, before)
    set_keys(statements.engine, name, after)
    statements.context.catalog.update_table(
        table.model_copy(update={"last_modified_time": statements.context.clock.now()})
    )
    return True


def _added(cursor: Cursor, name: TableName, table: TableMeta, before: Keys, statements: Statements) -> Keys:
    declared = _Declared(statements, before)
    added = declared.read_key(cursor)
    cursor.expect_end()
    if added.primary and before.primary:
        raise QueryError(f"Already Exists: Primary key of table {name}", reason="duplicate", location="query")
    if any(new.name.lower() == old.name.lower() for new in added.foreign for old in before.foreign):
        if declared.guarded:
            return before
        raise QueryError(
            f"Already Exists: Constraint {added.foreign[0].name} of table {name}", reason="duplicate", location="query"
        )
    check_keys(added, table.schema_.fields, statements.destinations)
    return Keys(before.primary or added.primary, before.foreign + added.foreign)


def _dropped(cursor: Cursor, name: TableName, before: Keys) -> Keys:
    if cursor.take_words("PRIMARY KEY"):
        guarded = cursor.take_words("IF", "EXISTS")
        cursor.expect_end()
        if not before.primary and not guarded:
            raise QueryError(f"Table {name} has no primary key", location="query")
        return Keys((), before.foreign)
    if not _is(cursor.take(), "CONSTRAINT"):
        raise cursor.expected("keyword CONSTRAINT")
    guarded = cursor.take_words("IF", "EXISTS")
    given = cursor.take().text
    cursor.expect_end()
    left = tuple(key for key in before.foreign if key.name.lower() != given.lower())
    if len(left) == len(before.foreign) and not guarded:
        raise QueryError(f"Constraint {given} not found in table {name}", location="query")
    return Keys(before.primary, left)


def _items(cursor: Cursor) -> Iterator[tuple[int, int]]:
    """Yield the indexes of the first token of each item of a list in brackets, and of the one after its last."""
    first, depth = cursor.index, 0
    while (token := cursor.peek()) is not None:
        closes = token.is_symbol(")") and depth == 0
        if closes or (token.is_symbol(",") and depth == 0):
            yield first, cursor.index
            first = cursor.index + 1
        if closes:
            return
        if token.kind == "symbol":
            # Two closing brackets can be one token.
            depth += sum(token.text.count(each) for each in "(<[") - sum(token.text.count(each) for each in ")>]")
        cursor.take()


class _Declared:
    """The keys that a statement declares.

    Attributes:
        guarded: Whether a constraint has IF NOT EXISTS.
    """

    def __init__(self, statements: Statements, before: Keys | None = None) -> None:
        self._statements = statements
        self._number = len(before.foreign) if before is not None else 0
        self.primary: tuple[str, ...] = ()
        self.foreign: list[ForeignKey] = []
        self.guarded = False

    def read(self, cursor: Cursor) -> None:
        """Read an item of the list of columns: a key, or a column that may have keys."""
        first = cursor.peek()
        if first is None:
            return
        if first.is_word(*_KEYS) or (_is(first, "CONSTRAINT") and cursor.peek(2) is not None):
            self._add(self.read_key(cursor))
            if cursor.peek() is not None:
                raise cursor.expected('")" or ","')
            return
        self._read_column(cursor)

    def _read_column(self, cursor: Cursor) -> None:
        column, depth = cursor.take().text, 0
        while (token := cursor.peek()) is not None:
            if token.kind == "symbol":
                depth += sum(token.text.count(each) for each in "(<[") - sum(token.text.count(each) for each in ")>]")
            if depth == 0 and cursor.take_words("PRIMARY KEY"):
                _expect_not_enforced(cursor, "PRIMARY KEY")
                self._add(Keys((column,)))
            elif depth == 0 and cursor.take_words("REFERENCES"):
                self._add(Keys((), (self._reference(cursor, None, (column,)),)))
            elif depth == 0 and _is(token, "UNIQUE", "CHECK", "AUTO_INCREMENT"):
                raise cursor.expected('")" or ","')
            else:
                cursor.take()

    def read_key(self, cursor: Cursor) -> Keys:
        """Read a key with its name, if it has one."""
        name = None
        if (first := cursor.peek()) is not None and _is(first, "CONSTRAINT"):
            cursor.take()
            self.guarded = cursor.take_words("IF", "NOT", "EXISTS")
            name = cursor.take().text
        if cursor.take_words("PRIMARY KEY"):
            columns = _columns(cursor)
            _expect_not_enforced(cursor, "PRIMARY KEY")
            return Keys(columns)
        cursor.expect_word("FOREIGN KEY")
        columns = _columns(cursor)
        cursor.expect_word("REFERENCES")
        return Keys((), (self._reference(cursor, name, columns),))

    def _reference(self, cursor: Cursor, name: str | None, columns: tuple[str, ...]) -> ForeignKey:
        parts, _ = cursor.take_path()
        table = table_name(parts, self._statements.project, self._statements.default_dataset)
        referenced = _columns(cursor)
        _expect_not_enforced(cursor, "FOREIGN KEY")
        if len(columns) != len(referenced):
            raise QueryError(
                f"FOREIGN KEY has {len(columns)} columns, but refers to {len(referenced)} of {table}", location="query"
            )
        self._number += 1
        return ForeignKey(name or f"fk${self._number}", columns, table, referenced)

    def _add(self, keys: Keys) -> None:
        if keys.primary and self.primary:
            raise QueryError("Multiple PRIMARY KEY definitions found in CREATE TABLE", location="query")
        self.primary = self.primary or keys.primary
        self.foreign += keys.foreign


def _is(token: Token, *words: str) -> bool:
    """Return whether a token is one of ``words``, which may be in the backticks that other parsers need."""
    return token.kind in ("word", "quoted") and token.text.upper() in words


def _columns(cursor: Cursor) -> tuple[str, ...]:
    cursor.expect_symbol("(")
    columns = [cursor.take().text]
    while cursor.take_symbol(","):
        columns.append(cursor.take().text)
    cursor.expect_symbol(")")
    return tuple(columns)


def _expect_not_enforced(cursor: Cursor, what: str) -> None:
    if not cursor.take_words("NOT", "ENFORCED"):
        raise QueryError(_NOT_ENFORCED.format(what), location="query")
