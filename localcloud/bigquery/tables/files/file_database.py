"""A second DuckDB that reads and writes the files of one load or extract job.

The database of the tables has no access to files (``engine.py``), because it runs SQL that clients write. This database
runs only the SQL of ``loading.py`` and ``exporting.py``, and can open only the files of its job. Rows pass between the two
databases as Arrow streams. https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension

from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.tables.engine import LOCKED_SETTINGS, MEMORY

# The rows of an Arrow batch, fewer if they are long.
_BATCH_ROWS = 16_384
_LEAST_ROWS = 16
_BATCH_BYTES = 32 << 20
_SAMPLE_BYTES, _SAMPLED_FILES = 1 << 20, 8


def register_decimals(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the function ``_avro_decimal``: the bytes of a decimal in an Avro file, and its scale, as DECIMAL(38, 9)."""

    def decimal(content: bytes, scale: int) -> Decimal:
        return Decimal(int.from_bytes(content, "big", signed=True)).scaleb(-scale)

    connection.create_function("_avro_decimal", decimal, ["BLOB", "INTEGER"], "DECIMAL(38, 9)")


def literal(text: str) -> str:
    """Return ``text`` as a DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


class FileRows:
    """The rows of a query over files, which runs each time that DuckDB scans them (Arrow's PyCapsule interface).

    Attributes:
        columns: The name and DuckDB type of each column. Arrow lacks some of the types, such as JSON.
        schema: The Arrow schema.
    """

    def __init__(self, database: FileDatabase, sql: str) -> None:
        """Read the columns of the query ``sql``, but no rows yet. Raises ``duckdb.Error``."""
        self._database = database
        self._sql = sql
        self.columns = database.columns(sql)
        self.schema: pa.Schema = self._reader().schema

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._reader().__arrow_c_stream__(requested_schema)

    def _reader(self) -> pa.RecordBatchReader:
        return self._database.cursor().execute(self._sql).to_arrow_reader(self._database.batch_rows)


def _rows_of_a_batch(file: Path) -> int:
    """Return how many lines of a file are read at a time, by the length of its first ones."""
    try:
        with file.open("rb") as lines:
            sample = lines.read(_SAMPLE_BYTES)
    except OSError:  # reported when the file is read
        return _BATCH_ROWS
    average = len(sample) // (sample.count(b"\n") + 1)
    return max(_LEAST_ROWS, min(_BATCH_ROWS, _BATCH_BYTES // max(1, average)))


class FileDatabase:
    """An empty database in memory with access to a few files.

    Attributes:
        batch_rows: How many rows an Arrow batch of its files has.
    """

    def __init__(self, *, files: Sequence[Path] = (), folder: Path | None = None, avro: bool = False) -> None:
        """Open the database.

        Args:
            files: The files that it can read.
            folder: A folder in which it can read and write, or None.
            avro: Whether it reads or writes Avro, which needs an extension.
        """
        self.batch_rows = min((_rows_of_a_batch(file) for file in files[:_SAMPLED_FILES]), default=_BATCH_ROWS)
        self._connection = duckdb.connect(":memory:")
        if avro:
            import_extension("avro")
            self._connection.execute("LOAD avro")
            register_decimals(self._connection)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute(f"SET GLOBAL memory_limit = '{MEMORY}'")
        self._connection.execute("SET GLOBAL temp_directory = ''")
        self._connection.execute(f"SET GLOBAL allowed_paths = [{', '.join(literal(str(path)) for path in files)}]")
        if folder is not None:
            self._connection.execute(f"SET GLOBAL allowed_directories = [{literal(str(folder))}]")
        for setting in LOCKED_SETTINGS:
            self._connection.execute(f"SET GLOBAL {setting}")

    def create_table(self, name: str, rows: pa.Table) -> None:
        """Give the database a table of rows that it can't read in a file itself."""
        self._connection.register("given_rows", rows)
        self._connection.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM given_rows")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return another connection to the database."""
        return self._connection.cursor()

    def columns(self, sql: str) -> tuple[tuple[str, str], ...]:
        """Return the name and DuckDB type of each column of a query. Raises ``duckdb.Error``."""
        return tuple((row[0], row[1]) for row in self._connection.execute(f"DESCRIBE {sql}").fetchall())

    def values(self, sql: str) -> list[object]:
        """Return the first column of a query's rows. Raises ``duckdb.Error``."""
        return [row[0] for row in self._connection.execute(sql).fetchall()]

    def write(self, rows: pa.RecordBatchReader, columns: Sequence[tuple[str, str]], path: Path, options: str) -> int:
        """Write rows to a file and return their number.

        Args:
            rows: The rows.
            columns: The name and DuckDB type of each column, to which the values are cast.
            path: The file.
            options: The options of DuckDB's COPY.

        Raises:
            duckdb.Error: The rows can't be read or written.
        """
        self._connection.register("exported_rows", rows)
        selected = ", ".join(f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in columns)
        row = self._connection.execute(
            f"COPY (SELECT {selected} FROM exported_rows) TO {literal(str(path))} ({options})"
        ).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


@contextmanager
def file_database(
    *, files: Sequence[Path] = (), folder: Path | None = None, avro: bool = False
) -> Iterator[FileDatabase]:
    """Open a database for the ``with`` block. The arguments are those of ``FileDatabase``."""
    database = FileDatabase(files=files, folder=folder, avro=avro)
    try:
        yield database
    finally:
        database.close()
