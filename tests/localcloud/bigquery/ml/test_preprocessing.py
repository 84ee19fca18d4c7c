"""The functions that prepare features, with the examples of their pages."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from tests.localcloud.bigquery.world import BigQueryWorld


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("ML.LP_NORM([4.1, 0.5, 1.0], 2.0)", 4.2497058721751557),
        ("ML.LP_NORM([3, -4], CAST('inf' AS FLOAT64))", 4.0),
        ("ML.LP_NORM(CAST(NULL AS ARRAY<FLOAT64>), 2.0)", None),
        ("ML.NORMALIZER([4.0, 1.0, 2.0, 2.0, 0.0])", [0.8, 0.2, 0.4, 0.4, 0.0]),
        ("ML.NGRAMS(['a', 'b', 'c'], [2,3], '#')", ["a#b", "a#b#c", "b#c"]),
        ("ML.NGRAMS(['a', 'b', 'c'], 2)", ["a b", "b c"]),
        ("ML.BUCKETIZE(2.5, [1, 2, 3])", "bin_3"),
        ("ML.BUCKETIZE(2.5, [1, 2, 3], TRUE)", "bin_2"),
        ("ML.BUCKETIZE(5, [1, 2.5], FALSE, 'bucket_ranges')", "[2.5, +inf)"),
        ("ML.BUCKETIZE(0, [1, 2.5], FALSE, 'bucket_ranges_json')", '{"start": "-Infinity", "end": "1"}'),
        (
            "TO_JSON_STRING(ML.POLYNOMIAL_EXPAND(STRUCT(2 AS f1, 3 AS f2)))",
            '{"f1":"2.0","f1_f1":"4.0","f1_f2":"6.0","f2":"3.0","f2_f2":"9.0"}',
        ),
        ("ML.FEATURE_CROSS(STRUCT('a' AS x, 'b' AS y, 'c' AS z), 3).x_y_z", "a_b_c"),
        ("ARRAY(SELECT ML.HASH_BUCKETIZE(f, 3) FROM UNNEST(['a', 'b', 'c', 'd']) AS f)", [0, 1, 1, 2]),
        ("ML.HASH_BUCKETIZE('a', 0) = FARM_FINGERPRINT('a')", True),
    ],
)
def test_a_function_of_a_row_returns_the_value_of_its_page(world: BigQueryWorld, call: str, value: Any) -> None:
    assert world.rows(f"SELECT {call}") == [(value,)]


@pytest.mark.parametrize(
    ("call", "rows", "values"),
    [
        ("ML.ROBUST_SCALER(f)", "NULL, -3, 1, 2, 3, 4, 5", [None, -5 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1]),
        ("ML.STANDARD_SCALER(f)", "1, 2, 3, 4, 5", [-1.264911, -0.632456, 0, 0.632456, 1.264911]),
        ("ML.MIN_MAX_SCALER(f)", "1, 2, 5, NULL", [None, 0, 0.25, 1]),
        ("ML.MAX_ABS_SCALER(f)", "0, -1, 2, -4", [-1, -0.25, 0, 0.5]),
        ("ML.MIN_MAX_SCALER(f)", "7, 7", [0, 0]),
        ("ML.IMPUTER(f, 'mean')", "NULL, -3, -3, -3, 1, 2, 3, 4, 5", [0.75, -3, -3, -3, 1, 2, 3, 4, 5]),
    ],
)
def test_a_scaler_reads_all_rows(world: BigQueryWorld, call: str, rows: str, values: list[float | None]) -> None:
    found = world.rows(f"SELECT {call} OVER () FROM UNNEST([{rows}]) AS f ORDER BY f")
    assert [value for (value,) in found] == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "rows", "values"),
    [
        ("ML.LABEL_ENCODER(f, 2, 2)", "NULL, 'a', 'b', 'b', 'c', 'c', 'c', 'd', 'd'", [0, 0, 1, 1, 2, 2, 2, 0, 0]),
        ("ML.LABEL_ENCODER(f)", "'a', 'b', 'b', 'b', 'b', 'b'", [0, 1, 1, 1, 1, 1]),
        ("ML.IMPUTER(f, 'most_frequent')", "NULL, NULL, NULL, 'a', 'c', 'c'", ["c", "c", "c", "a", "c", "c"]),
    ],
)
def test_categories_are_encoded_by_their_place(
    world: BigQueryWorld, call: str, rows: str, values: list[int | str]
) -> None:
    found = world.rows(f"SELECT {call} OVER () FROM UNNEST([{rows}]) AS f ORDER BY f")
    assert [value for (value,) in found] == values


def test_a_hot_encoding_has_the_places_of_a_row(world: BigQueryWorld) -> None:
    call = "ML.ONE_HOT_ENCODER(f, 'most_frequent', 10, 0) OVER ()"
    found = world.rows(f"SELECT {call} FROM UNNEST([NULL, 'a', 'b', 'b', 'c', 'c', 'c', 'd', 'd']) AS f ORDER BY f")
    pairs = [(0, 1), (1, 1), (2, 1), (2, 1), (3, 0), (3, 0), (3, 0), (4, 1), (4, 1)]
    assert [value for (value,) in found] == [[{"index": index, "value": value}] for index, value in pairs]

    arrays = "SELECT ['a', 'b', 'b', 'c', NULL] AS f UNION ALL SELECT ['c', 'c', 'd', 'd', NULL]"
    found = world.rows(f"SELECT ML.MULTI_HOT_ENCODER(f, 3, 1) OVER () AS o FROM ({arrays}) ORDER BY f[OFFSET(0)]")
    assert [[place["index"] for place in value] for (value,) in found] == [[1, 2, 3, 0], [3, 0]]


def test_buckets_hold_as_many_rows_each(world: BigQueryWorld) -> None:
    call = "ML.QUANTILE_BUCKETIZE(f, 3, 'bucket_ranges') OVER ()"
    found = world.rows(f"SELECT {call} FROM UNNEST([1, 2, 3, 4, 5]) AS f ORDER BY f")
    assert [text for (text,) in found] == ["(-inf, 2)", "[2, 4)", "[2, 4)", "[4, +inf)", "[4, +inf)"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("ML.MIN_MAX_SCALER(1)", "ML.MIN_MAX_SCALER: It needs an empty OVER ()"),
        ("ML.LP_NORM([1.0])", "ML.LP_NORM: It takes 2 arguments"),
        ("ML.LP_NORM([1.0], 0.5)", "degree of a norm must be 0.0, at least 1.0, or infinity, not 0.5"),
        ("ML.BUCKETIZE(1, [3, 2])", "from the lowest to the highest"),
        ("ML.BUCKETIZE(1, [3], FALSE, 'names')", "must be one of bucket_names"),
        ("ML.NGRAMS(['a'], [3, 2])", "range of ML.NGRAMS"),
        ("ML.NGRAMS([1], 2)", "ML.NGRAMS for argument types: ARRAY<INT64>, ARRAY<INT64>, STRING"),
        ("ML.ROBUST_SCALER(1, [75, 25]) OVER ()", "quantile range of ML.ROBUST_SCALER"),
        ("ML.FEATURE_CROSS(STRUCT('a' AS x, 'b' AS y), 5)", "a degree from 1 to 4"),
        ("ML.HASH_BUCKETIZE('a', -1)", "number of buckets of ML.HASH_BUCKETIZE must be at least 0, not -1"),
        ("ML.LABEL_ENCODER('a')", "ML.LABEL_ENCODER: It needs an empty OVER ()"),
        ("ML.LABEL_ENCODER(1) OVER ()", "ML.LABEL_ENCODER takes a STRING, not INT64"),
        ("ML.LABEL_ENCODER('a', 0) OVER ()", "top_k of ML.LABEL_ENCODER must be an INT64 from 1 to 999,999, not 0"),
        ("ML.ONE_HOT_ENCODER('a', 'first') OVER ()", "ML.ONE_HOT_ENCODER drops none or most_frequent, not first"),
        ("ML.IMPUTER('a', 'most_common') OVER ()", "must be mean, median or most_frequent, not most_common"),
    ],
)
def test_an_argument_that_is_not_valid_is_rejected(world: BigQueryWorld, call: str, message: str) -> None:
    with pytest.raises(exceptions.BadRequest) as raised:
        world.rows(f"SELECT {call} FROM UNNEST([1])")
    assert message in str(raised.value)
