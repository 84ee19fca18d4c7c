"""The database of the local BigQuery's tables has no access to files, extensions and settings, whatever SQL it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from bqemulator.api.dependencies import AppContext

from localcloud.base.clock import SystemClock
from localcloud.bigquery.tables.context import close_context, engine_of, open_context
from localcloud.bigquery.tables.files.file_database import file_database

SECRET = "the content of a file"


@pytest.fixture(scope="module")
def context() -> Iterator[AppContext]:
    opened = open_context(None, SystemClock(), "local-project")
    yield opened
    close_context(opened)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name in ("a.csv", "a.json", "a.txt", "p__d.csv"):
        (folder / name).write_text(f'{{"k": "{SECRET}"}}\n' if name.endswith("json") else f"k\n{SECRET}\n")
    return folder


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM 'FOLDER/a.csv'",
        'SELECT * FROM "FOLDER/a.csv"',
        'SELECT * FROM "FOLDER/p__d"."csv"',
        'SELECT * FROM "FOLDER/*"."csv"',
        "SELECT * FROM read_csv('FOLDER/a.csv')",
        "SELECT * FROM read_text('FOLDER/*')",
        "SELECT * FROM read_json('FOLDER/a.json')",
        "SELECT * FROM read_parquet('FOLDER/a.parquet')",
        "SELECT * FROM glob('FOLDER/*')",
        "SELECT * FROM sniff_csv('FOLDER/a.csv')",
        "SELECT * FROM query('SELECT * FROM read_text(''FOLDER/a.txt'')')",
        "SELECT * FROM ST_Read('FOLDER/a.csv')",
        "SELECT * FROM ST_Read_Meta('FOLDER/a.csv')",
        "SELECT * FROM shapefile_meta('FOLDER/a.csv')",
        "CREATE TABLE copied AS SELECT * FROM read_csv('FOLDER/a.csv')",
        "COPY (SELECT 1) TO 'FOLDER/written'",
        "EXPORT DATABASE 'FOLDER/written'",
        "ATTACH 'FOLDER/written' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD 'FOLDER/a.txt'",
    ],
)
def test_the_database_of_the_tables_opens_no_file(context: AppContext, folder: Path, statement: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(duckdb.Error, match=r"disabled|Could not open GDAL dataset"):
        engine_of(context).cursor().execute(statement.replace("FOLDER", str(folder))).fetchall()
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SET enable_external_access = true",
        "SET GLOBAL enable_external_access = true",
        "SET GLOBAL allowed_directories = ['/']",
        "SET GLOBAL lock_configuration = false",
        "SET GLOBAL allowed_configs = ['enable_external_access']",
        "SET python_enable_replacements = true",
        "SET temp_directory = '/tmp'",
        "SET TimeZone = 'Asia/Tokyo'",
        "RESET enable_external_access",
        "PRAGMA threads = 1",
    ],
)
def test_the_settings_of_the_database_are_locked(context: AppContext, statement: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=r"configuration has been locked|while database is running"):
        engine_of(context).cursor().execute(statement)


def test_a_variable_of_this_program_is_not_a_table(context: AppContext) -> None:
    secret = duckdb.sql(f"SELECT '{SECRET}' AS k").to_arrow_table()
    with pytest.raises(duckdb.CatalogException, match="Table with name secret does not exist"):
        engine_of(context).cursor().execute("SELECT * FROM secret")
    assert secret.num_rows == 1


def test_the_database_of_a_load_job_opens_only_the_files_of_the_job(folder: Path) -> None:
    with file_database(files=[folder / "a.csv"]) as database:
        assert database.values(f"SELECT k FROM read_csv('{folder}/a.csv')") == [SECRET]
        for other in (f"{folder}/a.txt", f"{folder}/*", f"{folder}/../{folder.name}/a.txt"):
            with pytest.raises(duckdb.PermissionException):
                database.values(f"SELECT content FROM read_text('{other}')")
        with pytest.raises(duckdb.PermissionException):
            database.values(f"COPY (SELECT 1) TO '{folder}/written'")
    assert not (folder / "written").exists()
