"""GoogleSQL that differs from DuckDB's SQL: names with dashes, array subscripts, names in mixed case."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world

OTHER = "public-data-123"
NUMBERS = [{"n": n, "title": f"title {n}"} for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        tables = running.bigquery.tables
        tables.write(
            f"{OTHER}.news.full", [{"name": "n", "type": "INT64"}, {"name": "title", "type": "STRING"}], NUMBERS
        )
        tables.write(
            f"{PROJECT}.lists.few",
            [
                {"name": "letters", "type": "STRING", "mode": "REPEATED"},
                {"name": "place", "type": "INT64"},
                {
                    "name": "pairs",
                    "type": "RECORD",
                    "mode": "REPEATED",
                    "fields": [
                        {"name": "leftSide", "type": "INT64"},
                        {"name": "inner", "type": "FLOAT64", "mode": "REPEATED"},
                    ],
                },
            ],
            [
                {"letters": ["p", "q"], "place": 1, "pairs": [{"leftSide": 5, "inner": [0.5, 1.5]}]},
                {"letters": ["r"], "place": 0, "pairs": [{"leftSide": 6, "inner": [2.5]}]},
            ],
        )
        yield running


def value(world: BigQueryWorld, expression: str) -> object:
    return world.rows(f"SELECT {expression}")[0][0]


# Names with dashes


def test_a_project_with_dashes_needs_no_backticks(world: BigQueryWorld) -> None:
    assert world.rows(f"SELECT title FROM {OTHER}.news.full WHERE n-1 = 1") == [("title 2",)]
    assert world.rows(f"SELECT a.n-b.n FROM {OTHER}.news.full a JOIN {OTHER}.news.full AS b ON a.n-2 = b.n") == [(2,)]
    assert world.rows(f"SELECT COUNT(*) FROM (SELECT 1), {OTHER}.news.full") == [(3,)]
    assert world.rows(f"SELECT COUNT(*) FROM ({OTHER}.news.full JOIN {OTHER}.news.full USING (n))") == [(3,)]
    assert world.rows(f"WITH t AS (SELECT MAX(n) m FROM {OTHER}.news.full) SELECT m-1-1 FROM t") == [(1,)]


def test_a_dash_between_columns_is_a_subtraction(world: BigQueryWorld) -> None:
    sql = """
        SELECT five-three, EXTRACT(YEAR FROM day-one), 9-five-1
        FROM (SELECT 5 AS five, 3 AS three, DATE '2024-01-01' AS day, 1 AS one)"""
    assert world.rows(sql) == [(2, 2023, 3)]
    assert world.rows("SELECT a IS DISTINCT FROM b-c FROM (SELECT 1 AS a, 3 AS b, 2 AS c)") == [(False,)]


def test_dml_and_ddl_accept_a_project_with_dashes(world: BigQueryWorld) -> None:
    made = "made-elsewhere-9.made"
    world.bigquery.tables.write(f"{made}.first", [{"name": "n", "type": "INT64"}], [])
    world.rows(f"INSERT INTO {made}.first (n) SELECT n FROM {OTHER}.news.full")
    world.rows(f"CREATE TABLE {made}.second AS SELECT n-1 AS n FROM {made}.first")
    world.rows(f"MERGE {made}.first T USING {made}.second S ON T.n = S.n WHEN MATCHED THEN UPDATE SET n = T.n-10")
    assert sorted(world.rows(f"SELECT n FROM {made}.first")) == [(-9,), (-8,), (3,)]
    world.rows(f"UPDATE {made}.first SET n = 0 WHERE n < 0; DELETE FROM {made}.second WHERE n-1 > 0")
    assert sorted(world.rows(f"SELECT n FROM {made}.first")) == [(0,), (0,), (3,)]
    assert sorted(world.rows(f"SELECT n FROM {made}.second")) == [(0,), (1,)]
    world.rows(f"CREATE VIEW {made}.high AS SELECT n FROM {made}.first WHERE n > 0")
    assert world.rows(f"SELECT * FROM {made}.high") == [(3,)]
    world.rows(f"DROP TABLE {made}.second")
    with pytest.raises(exceptions.NotFound, match=r"Not found: Table made-elsewhere-9:made\.second"):
        world.rows(f"SELECT * FROM {made}.second")


def test_scripts_and_dry_runs_accept_a_project_with_dashes(world: BigQueryWorld) -> None:
    sql = f"""
        DECLARE most INT64 DEFAULT (SELECT MAX(n) FROM {OTHER}.news.full);
        IF most-1 = 2 THEN SELECT most-3 AS rest, title FROM {OTHER}.news.full WHERE n = most; END IF"""
    assert world.rows(sql) == [(0, "title 3")]
    config = bigquery.QueryJobConfig(dry_run=True)
    job = world.client().query(f"SELECT title FROM {OTHER}.news.full", job_config=config)
    assert [field.name for field in job.schema] == ["title"]
    assert [table.project for table in job.referenced_tables] == [OTHER]


# Subscripts


def test_a_subscript_can_be_any_expression(world: BigQueryWorld) -> None:
    sql = "SELECT ['a', 'b', 'c'][OFFSET(k)] FROM UNNEST([0, 1, 2]) AS k ORDER BY k"
    assert world.rows(sql) == [("a",), ("b",), ("c",)]
    assert world.rows(sql.replace("OFFSET(k)", "ORDINAL(k + 1)")) == [("a",), ("b",), ("c",)]
    assert world.rows(sql.replace("OFFSET(k)", "2-k")) == [("c",), ("b",), ("a",)]


def test_subscripts_of_columns(world: BigQueryWorld) -> None:
    sql = """
        SELECT letters[OFFSET(0)], letters[0], letters[ORDINAL(1)], letters[SAFE_OFFSET(1)], letters[SAFE_ORDINAL(2)],
          letters[place], pairs[0].leftSide, pairs[OFFSET(0)].inner[ORDINAL(1)], REGEXP_EXTRACT(letters[0], r'^(.)')
        FROM lists.few ORDER BY letters[OFFSET(0)]"""
    rows = world.client().query_and_wait(sql)
    assert [field.name for field in rows.schema][5:8] == ["f5_", "leftSide", "f6_"]
    assert [tuple(row) for row in rows] == [
        ("p", "p", "p", "q", "q", "q", 5, 0.5, "p"),
        ("r", "r", "r", None, None, "r", 6, 2.5, "r"),
    ]


def test_subscripts_of_every_kind_of_array_expression(world: BigQueryWorld) -> None:
    assert value(world, "SPLIT('a,b', ',')[OFFSET(1)]") == "b"
    assert value(world, "ARRAY(SELECT x FROM UNNEST([3, 1, 2]) AS x ORDER BY x)[ORDINAL(2)]") == 2
    assert value(world, "ARRAY<FLOAT64>[1.5, 2.5][1]") == 2.5
    assert value(world, "ARRAY_AGG(x ORDER BY x DESC LIMIT 2)[OFFSET(1)] FROM UNNEST([1, 5, 3]) AS x") == 3
    assert value(world, "[STRUCT(['u', 'v'] AS names)][0].names[[1, 0][OFFSET(0)]]") == "v"
    assert value(world, "(SELECT names FROM (SELECT [STRUCT(7 AS names)][0].names))") == 7
    assert value(world, "IF(ARRAY_LENGTH(['a']) > 5, ['a'][OFFSET(5)], 'none')") == "none"
    assert value(world, "['a'][CAST(NULL AS INT64)]") is None
    assert value(world, "CAST(NULL AS ARRAY<INT64>)[OFFSET(0)]") is None


@pytest.mark.parametrize(
    ("subscript", "message"),
    [
        ("[OFFSET(5)]", "Array index 5 is out of bounds (overflow)"),
        ("[OFFSET(2)]", "Array index 2 is out of bounds (overflow)"),
        ("[OFFSET(-1)]", "Array index -1 is out of bounds (underflow)"),
        ("[ORDINAL(3)]", "Array index 3 is out of bounds (overflow)"),
        ("[ORDINAL(0)]", "Array index 0 is out of bounds (underflow)"),
        ("[7]", "Array index 7 is out of bounds (overflow)"),
    ],
)
def test_a_subscript_out_of_bounds_is_an_error(world: BigQueryWorld, subscript: str, message: str) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        world.rows(f"SELECT [1, 2]{subscript}")
    assert caught.value.message.endswith(f": {message}")
    assert caught.value.errors[0]["reason"] == "invalidQuery"


@pytest.mark.parametrize(
    "subscript", ["[SAFE_OFFSET(2)]", "[SAFE_OFFSET(-1)]", "[SAFE_ORDINAL(0)]", "[SAFE_ORDINAL(3)]"]
)
def test_a_safe_subscript_out_of_bounds_is_null(world: BigQueryWorld, subscript: str) -> None:
    assert value(world, f"[1, 2]{subscript}") is None


def test_subscripts_of_json(world: BigQueryWorld) -> None:
    sql = """
        SELECT j.a[1], j['a'][0], j['c']['d'][0]['e'], j['a'][9], j['a'][-1], j.c.d[n].e
        FROM (SELECT JSON '{}' AS j, 0 AS n)"""
    json = """{"a": [1, 2], "c": {"d": [{"e": "deep"}]}}"""
    assert world.rows(sql.replace("{}", json)) == [(2, 1, "deep", None, None, "deep")]
    assert value(world, """JSON '{"a": [1, 2, {"b": 3}]}'['a'][2]['b']""") == 3
    assert value(world, "JSON '[4, 5]'[1]") == 5


def test_subscripts_in_scripts_functions_views_and_dml(world: BigQueryWorld, dataset: str) -> None:
    script = """
        DECLARE words ARRAY<STRING> DEFAULT ['a', 'b']; DECLARE i INT64 DEFAULT 1;
        CREATE TEMP FUNCTION other_one(list ARRAY<STRING>) AS (list[ORDINAL(2)]);
        SELECT words[OFFSET(i)], other_one(words), words[i-1] AS theFirst"""
    rows = world.client().query_and_wait(script)
    assert [field.name for field in rows.schema] == ["f0_", "f1_", "theFirst"]
    assert [tuple(row) for row in rows] == [("b", "b", "a")]
    world.rows(f"CREATE VIEW {dataset}.firsts AS SELECT letters[OFFSET(0)] AS letter FROM lists.few")
    assert sorted(world.rows(f"SELECT letter FROM {dataset}.firsts")) == [("p",), ("r",)]
    assert world.client().get_table(f"{dataset}.firsts").view_query == (
        "SELECT letters[OFFSET(0)] AS letter FROM lists.few"
    )
    world.rows(f"CREATE TABLE {dataset}.copied AS SELECT letters, letters[0] AS letter FROM lists.few")
    world.rows(f"UPDATE {dataset}.copied SET letter = letters[OFFSET(1)] WHERE letters[SAFE_OFFSET(1)] = 'q'")
    assert sorted(world.rows(f"SELECT letter FROM {dataset}.copied")) == [("q",), ("r",)]
    grouped = world.rows("SELECT letters[0], COUNT(*) FROM lists.few GROUP BY letters[0] ORDER BY 1")
    assert grouped == [("p", 1), ("r", 1)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("STRUCT<INT64, STRING>(1, 'a')", {"_field_1": 1, "_field_2": "a"}),
        ("STRUCT<n INT64, ARRAY<STRING>>(1, ['a'])", {"n": 1, "_field_2": ["a"]}),
        ("ARRAY<STRUCT<NUMERIC(3, 1), STRUCT<x INT64, BOOL>>>[(2, (3, TRUE))][0]",
         {"_field_1": 2, "_field_2": {"x": 3, "_field_2": True}}),
    ],
)  # fmt: skip
def test_a_type_before_its_values_may_have_fields_without_names(
    world: BigQueryWorld, sql: str, expected: dict[str, object]
) -> None:
    assert value(world, sql) == expected


# Names in mixed case


def test_names_keep_their_case(world: BigQueryWorld, dataset: str) -> None:
    as_json = "TO_JSON_STRING(STRUCT(n AS maxOutputTokens, [STRUCT(title AS innerName)] AS partsOf))"
    assert world.rows(f"SELECT {as_json} FROM {OTHER}.news.full WHERE n = 1") == [
        ('{"maxOutputTokens":1,"partsOf":[{"innerName":"title 1"}]}',)
    ]
    world.rows(
        f"CREATE TABLE {dataset}.cased AS SELECT n AS rowNumber, STRUCT(title AS theTitle, AVG(n) AS Mean) AS Info "
        f"FROM {OTHER}.news.full GROUP BY n, title"
    )
    fields = world.client().get_table(f"{dataset}.cased").schema
    assert [field.name for field in fields] == ["rowNumber", "Info"]
    assert [field.name for field in fields[1].fields] == ["theTitle", "Mean"]
    subquery = f"SELECT rowNumber, Info.theTitle FROM (SELECT * FROM {dataset}.cased) WHERE ROWNUMBER = 1"
    assert [list(row.items()) for row in world.client().query_and_wait(subquery)] == [
        [("rowNumber", 1), ("theTitle", "title 1")]
    ]


def test_a_difference_is_computed_where_the_types_of_a_query_cannot_be_resolved(world: BigQueryWorld) -> None:
    rows = world.rows("SELECT * FROM (SELECT 1 AS a, 2 AS b, CURRENT_DATE() AS d) ORDER BY b - a, 2")
    assert [row[:2] for row in rows] == [(1, 2)]


def test_a_cast_to_bignumeric_has_its_type_and_its_digits(world: BigQueryWorld) -> None:
    rows = world.client().query_and_wait(
        "SELECT CAST('1.123456789' AS BIGNUMERIC) AS n, BIGNUMERIC '2.5' AS l, EXP(1) AS e"
    )
    assert [field.field_type for field in rows.schema] == ["BIGNUMERIC", "BIGNUMERIC", "FLOAT"]
    assert next(iter(rows))[0] == Decimal("1.123456789")


def test_averages_have_the_right_types_with_names_in_mixed_case(world: BigQueryWorld) -> None:
    sql = f"SELECT AVG(CAST(n AS NUMERIC)) AS exactMean, AVG(n) AS mean, CAST(SUM(n) AS NUMERIC) / 4 FROM {OTHER}.news.full"
    fields = world.client().query_and_wait(sql).schema
    assert [(field.name, field.field_type) for field in fields] == [
        ("exactMean", "NUMERIC"),
        ("mean", "FLOAT"),
        ("f0_", "NUMERIC"),
    ]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("JSON_QUERY('Echo: hi', '$.title')", None),
        ("JSON_VALUE('Echo: hi', '$.title')", None),
        ("""JSON_EXTRACT('{"a":', '$.a')""", None),
        ("JSON_QUERY('', '$.a')", None),
        ("JSON_VALUE_ARRAY('[1', '$')", None),
        ("JSON_QUERY(RTRIM(LTRIM('Echo: hi', ' `json'), '`'), '$.title')", None),
        ("TO_JSON_STRING(JSON_QUERY(j, '$.a')) FROM (SELECT PARSE_JSON('{\"a\": {\"b\": 1}}') AS j)", '{"b":1}'),
        ("""JSON_VALUE(JSON_QUERY('{"a": {"b": 1}}', '$.a'), '$.b')""", "1"),
        ("""JSON_VALUE('"text"')""", "text"),
        ("""JSON_VALUE(JSON '{"a": "x"}', '$.a')""", "x"),
        ("""SAFE.JSON_VALUE(CONCAT('{"a', '": "x"}'), '$.a')""", "x"),
    ],
)
def test_the_functions_that_read_json_return_null_for_a_text_that_is_not_json(
    world: BigQueryWorld, expression: str, value: str | None
) -> None:
    [row] = world.client().query(f"SELECT {expression}").result()
    assert (row[0] or None) == value


def test_a_column_of_texts_may_hold_some_that_are_not_json(world: BigQueryWorld) -> None:
    sql = """SELECT JSON_QUERY(t, '$.a'), JSON_VALUE(x.t, '$.a[0]'), JSON_EXTRACT_SCALAR(x.s.u, '$.a[0]'),
      JSON_VALUE_ARRAY(t, '$.a'), ARRAY_LENGTH(JSON_QUERY_ARRAY(t, '$.a'))
      FROM (SELECT t, STRUCT(t AS u) AS s FROM UNNEST(['Echo: hi', '{"a": [1]}']) AS t) AS x ORDER BY t"""
    assert world.rows(sql) == [(None, None, None, [], None), ("[1]", "1", "1", ["1"], 1)]


TEXTS = """ FROM (SELECT t FROM UNNEST(['Echo: hi', '{"a": {"b": [1]}}']) AS t) ORDER BY t"""


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT JSON_VALUE(IFNULL(t, 'x'), '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_VALUE(t || '', '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_VALUE(CASE WHEN TRUE THEN t ELSE 'x' END, '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_VALUE((SELECT t), '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_VALUE([t][OFFSET(0)], '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_VALUE(CAST(t AS STRING), '$.a.b[0]'){TEXTS}",
        f"SELECT JSON_EXTRACT_SCALAR(COALESCE(NULL, t), \"$['a'].b[0]\"){TEXTS}",
        f"SELECT IFNULL(JSON_QUERY(CONCAT(t, ' '), '$.a.b[0]'), NULL){TEXTS}",
        f"WITH c AS (SELECT t{TEXTS}) SELECT JSON_QUERY(c.t, '$.a.b[0]') FROM c ORDER BY t",
        f"SELECT JSON_VALUE_ARRAY(TRIM(JSON_QUERY(t, '$.a')), '$.b')[SAFE_OFFSET(0)]{TEXTS}",
        f"SELECT JSON_QUERY_ARRAY(IF(t = '', NULL, t), '$.a.b')[SAFE_OFFSET(0)]{TEXTS}",
        f"SELECT SAFE.JSON_VALUE(LOWER(t), '$.a.b[0]'){TEXTS}",
    ],
)
def test_any_expression_that_is_not_json_gives_null(world: BigQueryWorld, query: str) -> None:
    assert world.rows(query) == [(None,), ("1",)]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("JSON_QUERY(t, '$')", "STRING"),
        ("JSON_QUERY(IFNULL(t, ''), '$')", "STRING"),
        ("JSON_QUERY('1', '$')", "STRING"),
        ("JSON_QUERY_ARRAY(t)", "STRING"),
        ("JSON_EXTRACT(j, '$')", "JSON"),
        ("JSON_QUERY(IFNULL(j, JSON '1'), '$')", "JSON"),
        ("JSON_QUERY(PARSE_JSON(t), '$')", "JSON"),
        ("JSON_QUERY_ARRAY(j)", "JSON"),
        ("JSON_VALUE(j, '$')", "STRING"),
        ("JSON_VALUE_ARRAY(j)", "STRING"),
    ],
)
def test_what_is_read_from_json_is_json_and_from_a_text_a_text(
    world: BigQueryWorld, expression: str, kind: str
) -> None:
    rows = world.client().query_and_wait(f"SELECT {expression} FROM (SELECT '[1]' AS t, JSON '[1]' AS j)")
    assert [field.field_type for field in rows.schema] == [kind]
