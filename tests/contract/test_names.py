"""What the local BigQuery accepts as names and functions, against Google's parser and analyser."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot.dialects.bigquery import BigQuery

from localcloud.bigquery.sql.reading.googlesql import FUNCTIONS
from localcloud.bigquery.sql.reading.names import RESERVED
from tests.contract.googlesql import functions, parses

# Reserved in BigQuery, and in this parser only with an option.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
RESERVED_BY_OPTION = {"QUALIFY"}


@pytest.mark.matrix
def test_the_reserved_words_are_those_of_googlesql() -> None:
    candidates = {word for word in BigQuery.Tokenizer.KEYWORDS if word.isidentifier()}
    candidates |= {str(row[0]).upper() for row in duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()}
    candidates |= set(RESERVED.pattern.replace("\n", "").replace(" ", "").split("|"))
    reserved = {word for word in candidates if parses(f"SELECT x AS {word} FROM (SELECT 1 AS x) AS {word}") is None}
    assert reserved | RESERVED_BY_OPTION == {word for word in candidates if RESERVED.fullmatch(word)}


def test_each_function_of_googlesql_is_known() -> None:
    assert functions() - FUNCTIONS == set()
    assert len(functions()) > 400
