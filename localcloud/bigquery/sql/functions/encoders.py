"""The functions of BigQuery ML that encode categories, as macros of DuckDB over all rows.

The vocabulary has the categories that enough rows have, at most the most frequent ones, in alphabetical order. Of two that are
equally frequent, the first is taken. The place of a category counts from 1; NULL and other categories have the place 0.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-one-hot-encoder
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-label-encoder
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-multi-hot-encoder
"""

from __future__ import annotations

_TEXT_ONLY = """CASE WHEN typeof(x) IN ('VARCHAR', '"NULL"') THEN x ELSE bqemu_fail(name || ' takes a STRING, not ' ||
    CASE WHEN typeof(x) IN ('BIGINT', 'INTEGER') THEN 'INT64' WHEN typeof(x) = 'DOUBLE' THEN 'FLOAT64'
    ELSE typeof(x) END) END"""
# Counts are a map from categories to the numbers of their rows.
_CATEGORIES = """list_sort(list_transform(list_slice(list_sort(list_transform(
    list_filter(map_entries(counts), lambda each: each.value >= least),
    lambda each: {'rarity': -each.value, 'category': each.key})), 1, top), lambda each: each.category))"""
# An array counts once for a category, however often it has it.
_ARRAY_COUNTS = "list_aggregate(flatten(list(list_distinct(xs)) OVER ()), 'histogram')"

MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _only_text(x, name) AS {_TEXT_ONLY}",
    f"CREATE OR REPLACE MACRO _categories(counts, top, least) AS {_CATEGORIES}",
    "CREATE OR REPLACE MACRO _places(categories, xs) AS "
    "list_transform(xs, lambda x: coalesce(list_position(categories, x), 0))",
    "CREATE OR REPLACE MACRO _hot(places) AS list_transform("
    "list_filter(places, lambda place, nth: list_position(places, place) = nth), "
    "lambda place: {'index': CAST(place AS BIGINT), 'value': CAST(1 AS DOUBLE)})",
    "CREATE OR REPLACE MACRO _label(x, top, least) AS "
    "CAST(coalesce(list_position(_categories(histogram(x) OVER (), top, least), x), 0) AS BIGINT)",
    "CREATE OR REPLACE MACRO _most_frequent(x, least) AS _categories(histogram(x) OVER (), 1, least)[1]",
    "CREATE OR REPLACE MACRO ml_label_encoder(x, top, least) AS _label(_only_text(x, 'ML.LABEL_ENCODER'), top, least)",
    "CREATE OR REPLACE MACRO ml_one_hot_encoder(x, dropping, top, least) AS "
    "[{'index': _label(_only_text(x, 'ML.ONE_HOT_ENCODER'), top, least), 'value': CAST(CASE WHEN dropping "
    "AND x = _most_frequent(x, least) THEN 0 ELSE 1 END AS DOUBLE)}]",
    # A macro repeats its argument wherever it names it. Lambdas hold the vocabulary and the places, found once for each row.
    "CREATE OR REPLACE MACRO ml_multi_hot_encoder(xs, top, least) AS "
    f"list_transform(list_transform([_categories({_ARRAY_COUNTS}, top, least)], "
    "lambda known: _places(known, xs)), lambda places: _hot(places))[1]",
    "CREATE OR REPLACE MACRO ml_imputed_text(x) AS "
    "coalesce(_only_text(x, 'ML.IMPUTER with the strategy most_frequent in the local BigQuery'), _most_frequent(x, 1))",
)
"""The DuckDB macros that the expressions of ``ml/preprocessing.py`` call."""
