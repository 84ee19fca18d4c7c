"""Embeddings of a remote model, the distances of vectors, and the search for the nearest ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.localcloud.bigquery.ml.world import MlWorld, ml_world

SEARCH = "SELECT query.id AS asked, base.id AS found, distance FROM VECTOR_SEARCH"


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    """A BigQuery with an embedding model ``d.e`` and a table ``d.v`` of vectors."""
    with ml_world() as running:
        running.run(
            "CREATE MODEL d.e REMOTE WITH CONNECTION `us.gemini_conn` "
            "OPTIONS (endpoint = 'text-multilingual-embedding-002')"
        )
        running.run(
            "CREATE TABLE d.v AS SELECT 1 AS id, [0.1, 0.9] AS e UNION ALL SELECT 2, [0.9, 0.1] "
            "UNION ALL SELECT 3, [0.2, 0.8]"
        )
        yield running


@pytest.mark.parametrize(
    ("arguments", "distance"),
    [
        ("[1.0, 0.0], [0.0, 1.0], 'COSINE'", 1.0),
        ("[3.0, 0.0], [0.0, 4.0]", 5.0),
        ("[3.0, 0.0], [0.0, 4.0], 'manhattan'", 7.0),
        ("[1.0], CAST(NULL AS ARRAY<FLOAT64>)", None),
        ("[1, 2], [NUMERIC '1', NUMERIC '4.5']", 2.5),
        ("[('a', 3.0), ('b', 1.0)], [('b', 1.0), ('a', 7.0)]", 4.0),
        ("[STRUCT(1 AS feature, 3 AS weight)], [STRUCT(2 AS feature, 4 AS weight)]", 5.0),
        ("[('a', 3.0)], CAST(NULL AS ARRAY<STRUCT<name STRING, value FLOAT64>>)", None),
    ],
)
def test_the_distance_of_two_vectors(world: MlWorld, arguments: str, distance: float | None) -> None:
    assert world.rows(f"SELECT ML.DISTANCE({arguments}) AS d") == [{"d": distance}]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("[1.0], [1.0, 2.0]", "different lengths"),
        ("[0.0], [1.0], 'COSINE'", "zero vector"),
        ("[0.0], [1.0], 'HAMMING'", "use EUCLIDEAN, MANHATTAN or COSINE"),
        ("[0.0], [1.0], 'DOT_PRODUCT'", "use EUCLIDEAN, MANHATTAN or COSINE"),
        ("[0.0]", "it takes two vectors"),
        ("[('a', 1.0), ('a', 2.0)], [('a', 1.0)]", "the dimension a twice"),
        ("[('a', 1.0)], [1.0]", "an array of numbers and an array of STRUCTs"),
        ("[('a', 1.0)], [('a', CAST(NULL AS FLOAT64))]", "NULL elements"),
    ],
)
def test_a_distance_that_does_not_exist_is_an_error(world: MlWorld, arguments: str, problem: str) -> None:
    assert problem.lower() in world.refusal(f"SELECT ML.DISTANCE({arguments}) AS d")[1].lower()


def test_a_search_returns_the_nearest_vectors_of_each_query(world: MlWorld) -> None:
    found = world.rows(f"{SEARCH}(TABLE d.v, 'e', TABLE d.v, 'e', top_k => 2, distance_type => 'COSINE')")

    pairs = sorted((row["asked"], row["found"]) for row in found)
    assert pairs == [(1, 1), (1, 3), (2, 2), (2, 3), (3, 1), (3, 3)]
    nearest = {row["asked"]: row["distance"] for row in found if row["asked"] == row["found"]}
    assert nearest == {number: pytest.approx(0, abs=1e-9) for number in (1, 2, 3)}


def test_a_search_takes_queries_and_the_defaults_of_its_arguments(world: MlWorld) -> None:
    found = world.rows(
        f"{SEARCH}((SELECT * FROM d.v WHERE id > 1), 'e', (SELECT 7 AS id, [1.0, 0.0] AS wanted), "
        "options => '{\"use_brute_force\": true}') ORDER BY distance"
    )
    assert [(row["asked"], row["found"]) for row in found] == [(7, 2), (7, 3)]
    assert found[0]["distance"] == pytest.approx(0.1414213562)


def test_a_search_for_one_vector_has_no_column_query(world: MlWorld) -> None:
    sql = "SELECT * FROM VECTOR_SEARCH(TABLE d.v, 'e', query_value => (SELECT [0.0, 1.0]), top_k => 1)"
    assert [(list(row), row["base"]["id"]) for row in world.rows(sql)] == [(["base", "distance"], 1)]


def test_the_nearest_vector_by_dot_product_has_the_greatest_product(world: MlWorld) -> None:
    found = world.rows(
        "SELECT base.id, distance FROM VECTOR_SEARCH(TABLE d.v, 'e', query_value => [10.0, 0.0], top_k => -1, "
        "distance_type => 'DOT_PRODUCT', options => '{\"fraction_lists_to_search\": 0.5}') ORDER BY distance"
    )
    assert [(row["id"], row["distance"]) for row in found] == [
        (2, pytest.approx(-9)),
        (3, pytest.approx(-2)),
        (1, pytest.approx(-1)),
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("TABLE d.v, 'x', TABLE d.v", "the column x of column_to_search does not exist"),
        ("TABLE d.v, 'id', TABLE d.v", "must be an ARRAY<FLOAT64>"),
        ("TABLE d.v, 'e', TABLE d.v, top_k => 0", "top_k must be a positive whole number"),
        ("TABLE d.v, 'e', TABLE d.v, distance_type => 'MANHATTAN'", "distance_type 'MANHATTAN' does not exist"),
        ("TABLE d.v, 'e', TABLE d.v, query_value => [1.0, 0.0]", "or query_value"),
        ("TABLE d.v, 'e', query_value => 'x'", "query_value must be an ARRAY<FLOAT64>"),
        ("TABLE d.v, 'e', query_value => [1.0], query_column_to_search => 'e'", "without a column"),
        ("TABLE d.v, 'e', TABLE d.v, top_k => 1, top_k => 2", "argument top_k comes twice"),
        ("TABLE d.v, 'e', TABLE d.v, options => '{\"use_brute_force\": 1}'", "must be true or false"),
        ("TABLE d.v, 'e', TABLE d.v, options => '{\"fraction_lists_to_search\": 1}'", "between 0.0 and 1.0"),
        (
            "TABLE d.v, 'e', TABLE d.v, options => '{\"fraction_lists_to_search\": 0.5, \"use_brute_force\": true}'",
            "can't be given together",
        ),
        ("TABLE d.v, 'e', TABLE d.v, options => '{\"a\": 1}'", "unknown option a"),
        ("TABLE d.v, 'e', TABLE d.v, base_filter => 'x'", "the argument base_filter is not supported"),
        ("TABLE d.v, 'e'", "It takes a table, a column"),
    ],
)
def test_a_search_that_is_not_valid_is_rejected(world: MlWorld, arguments: str, problem: str) -> None:
    assert problem in world.refusal(f"SELECT * FROM VECTOR_SEARCH({arguments})")[1]


def test_embeddings_have_the_columns_of_each_function(world: MlWorld) -> None:
    source = "MODEL d.e, (SELECT 'a shark' AS content, 1 AS id UNION ALL SELECT NULL, 2)"
    rows = world.rows(f"SELECT * FROM ML.GENERATE_EMBEDDING({source}, STRUCT(TRUE AS flatten_json_output)) ORDER BY id")

    names = ["ml_generate_embedding_result", "ml_generate_embedding_statistics", "ml_generate_embedding_status"]
    assert list(rows[0]) == [*names, "content", "id"]
    assert (len(rows[0][names[0]]), rows[0][names[2]]) == (768, "")
    assert rows[0][names[1]] == {"token_count": 2, "truncated": False}
    assert (rows[1][names[0]], rows[1][names[2]]) == ([], "The text content is empty.")

    [row] = world.rows(
        "SELECT * FROM AI.GENERATE_EMBEDDING(MODEL d.e, (SELECT 'a shark' AS content), "
        "STRUCT(2 AS output_dimensionality, 'CLUSTERING' AS task_type))"
    )
    assert list(row) == ["embedding", "statistics", "status", "content"]
    assert len(row["embedding"]) == 2
    [row] = world.rows(
        "SELECT * FROM ML.GENERATE_EMBEDDING(MODEL d.e, (SELECT 'a shark' AS content), STRUCT(FALSE AS flatten_json_output))"
    )
    assert len(row["ml_generate_embedding_result"]["values"]) == 768


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("(MODEL d.e, (SELECT 'x' AS text))", "Column content is not found"),
        ("(MODEL d.e, (SELECT 1 AS content))", "must be a STRING"),
        ("(MODEL d.e, (SELECT 'x' AS content), STRUCT(769 AS output_dimensionality))", "from 1 to 768"),
        ("(MODEL d.e, (SELECT 'x' AS content), STRUCT(1 AS start_second))", "Unknown argument start_second"),
        ("(MODEL d.e, (SELECT 'x' AS content), STRUCT('x' AS task_type))", "task_type must be one of"),
    ],
)
def test_an_embedding_that_is_not_valid_is_rejected(world: MlWorld, call: str, problem: str) -> None:
    assert problem in world.refusal(f"SELECT * FROM AI.GENERATE_EMBEDDING{call}")[1]


def test_the_nearest_text_of_the_lab_is_the_one_with_the_same_words(world: MlWorld) -> None:
    texts = "SELECT 'Jaws a shark' AS content UNION ALL SELECT 'Psycho a motel'"
    world.run(f"CREATE TABLE d.films AS SELECT * FROM AI.GENERATE_EMBEDDING(MODEL d.e, ({texts}))")
    [row] = world.rows(
        "SELECT base.content AS found FROM VECTOR_SEARCH(TABLE d.films, 'embedding', "
        "(SELECT embedding FROM AI.GENERATE_EMBEDDING(MODEL d.e, (SELECT 'the shark' AS content))), top_k => 1)"
    )
    assert row == {"found": "Jaws a shark"}


EMBED = "endpoint => 'text-embedding-005'"


def test_a_text_is_embedded_by_a_scalar_function_as_by_the_table_function(world: MlWorld) -> None:
    [row] = world.rows(
        f"SELECT AI.EMBED(content => 'a shark', {EMBED}, task_type => 'CLASSIFICATION') AS a, "
        f"""AI.EMBED('', {EMBED}, model_params => JSON '{{"outputDimensionality": 8}}').status AS s, """
        f"""ARRAY_LENGTH(AI.EMBED('a', {EMBED}, model_params => JSON '{{"outputDimensionality": 8}}').result) AS n"""
    )
    [table] = world.rows("SELECT * FROM AI.GENERATE_EMBEDDING(MODEL d.e, (SELECT 'a shark' AS content))")
    assert row["a"] == {"result": table["embedding"], "status": ""}
    assert (row["s"], row["n"]) == ("The text content is empty.", 8)


def test_the_similarity_of_two_texts_is_the_cosine_of_their_vectors(world: MlWorld) -> None:
    [row] = world.rows(
        f"SELECT AI.SIMILARITY('a shark', 'a shark', {EMBED}) AS same, AI.SIMILARITY('a shark', 'xyz', {EMBED}) AS other, "
        f"AI.SIMILARITY('', 'x', {EMBED}) AS none"
    )
    assert row["same"] == pytest.approx(1)
    assert abs(row["other"]) < 0.5
    assert row["none"] is None


def test_the_optimized_mode_takes_embeddings_that_the_query_computes(world: MlWorld) -> None:
    sql = f"SELECT AI.IF(s, embeddings => AI.EMBED(s, {EMBED}).result) FROM (SELECT 'x' AS s)"
    assert "AI.IF needs a model backend" in world.refusal(sql)[1]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("AI.EMBED('x')", "It takes content, and an endpoint"),
        (f"AI.SIMILARITY('x', {EMBED})", "It takes content1 and content2, and an endpoint"),
        (f"AI.EMBED('x', {EMBED}, temperature => 1)", "Unknown argument temperature"),
        (f"AI.EMBED('x', {EMBED}, title => 't')", "title needs task_type RETRIEVAL_DOCUMENT"),
        (f"AI.EMBED('x', {EMBED}, model_params => JSON '[]')", "outputDimensionality alone"),
        (f"AI.EMBED('x', {EMBED}, task_type => 'X')", "task_type must be one of"),
        (f"AI.EMBED('x', {EMBED}, connection_id => 'eu.c')", "Not found: Connection"),
        ("AI.EMBED('x', endpoint => 'gemini-3.8-flash')", "does not return embeddings"),
        ("AI.EMBED('x', endpoint => 'none')", "retired or unknown"),
    ],
)
def test_a_call_for_an_embedding_that_is_not_valid_is_rejected(world: MlWorld, call: str, problem: str) -> None:
    assert problem in world.refusal(f"SELECT {call}")[1]
