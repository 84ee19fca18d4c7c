"""ML.DISTANCE and VECTOR_SEARCH: the distances of vectors, and the nearest vectors of a table.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-distance
https://cloud.google.com/bigquery/docs/reference/standard-sql/search_functions#vector_search
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Column
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.bigquery.ml.predicting.prediction import quoted, string_literal

DISTANCE = "ML.DISTANCE"
SEARCH = "VECTOR_SEARCH"
DISTANCE_FUNCTION = "ml_distance"
_VECTOR = "STRUCT(numbers DOUBLE[], named VARCHAR)"
DISTANCE_PARAMETERS = (_VECTOR, _VECTOR, "VARCHAR")
DEFAULT_TYPE = "EUCLIDEAN"
_SEARCH_TYPES = ("EUCLIDEAN", "COSINE", "DOT_PRODUCT")
# How VECTOR_SEARCH computes DOT_PRODUCT, which ML.DISTANCE does not have: the nearest vector has the least distance.
_NEGATIVE_PRODUCT = "-DOT_PRODUCT"
_ALL = 2**62
_DEFAULT_TOP_K = 10
# Options that choose how an index is used. There is none here: each search compares all vectors, as with use_brute_force.
_SEARCH_OPTIONS = frozenset({"use_brute_force", "fraction_lists_to_search"})


def distance_sql(function: str, first: str, second: str, kind: str) -> str:
    """Return the GoogleSQL of the distance of two vectors; ``function`` is the name of the registered function."""
    return f"{function}(ml_vector({first}), ml_vector({second}), {kind})"


def distances(first: pa.Array, second: pa.Array, kinds: pa.Array) -> pa.Array:
    """Return the distance of each pair of vectors, NULL if one of the two is NULL.

    Args:
        first: Vectors as the macro ``ml_vector`` reads them.
        second: As many vectors.
        kinds: As many types of distance.

    Raises:
        QueryError: Two vectors differ in length or form, have NULL elements, or the type of distance does not exist.
    """
    columns = [pc.struct_field(vectors, form) for form in ("numbers", "named") for vectors in (first, second)]
    rows = zip(*(column.to_pylist() for column in (*columns, kinds)), strict=True)
    return pa.array([_distance(*_dense(*vectors), kind) for *vectors, kind in rows], pa.float64())


def _dense(
    first: list[float] | None, second: list[float] | None, first_named: str | None, second_named: str | None
) -> tuple[list[float] | None, list[float] | None]:
    """Return two vectors with one order of dimensions. A dimension that only one of the two names is 0 in the other."""
    if first_named is None and second_named is None:
        return first, second
    if first_named is None or second_named is None:
        if (first if first_named is None else second) is not None:
            raise QueryError("An array of numbers and an array of STRUCTs have no distance.")
        return None, None
    one, other = _by_name(first_named), _by_name(second_named)
    names = [*one, *(name for name in other if name not in one)]
    return [one.get(name, 0.0) for name in names], [other.get(name, 0.0) for name in names]


def _by_name(vector: str) -> dict[object, Any]:
    named: dict[object, Any] = {}
    for each in json.loads(vector, object_pairs_hook=list):  # both fields may have the same name, or none
        (_, name), (_, value) = each or ((None, None), (None, None))
        if name in named:
            raise QueryError(f"A vector has the dimension {name} twice, so it has no distance.")
        named[name] = value
    return named


def _distance(first: list[float] | None, second: list[float] | None, kind: str | None) -> float | None:
    if first is None or second is None or kind is None:
        return None
    if len(first) != len(second):
        raise QueryError(f"Vectors of different lengths have no distance: {len(first)} and {len(second)} elements.")
    if None in first or None in second:
        raise QueryError("A vector with NULL elements has no distance.")
    pairs = list(zip(first, second, strict=True))
    match kind.upper():
        case "EUCLIDEAN":
            return math.dist(first, second)
        case "MANHATTAN":
            return math.fsum(abs(a - b) for a, b in pairs)
        case "COSINE":
            lengths = math.hypot(*first) * math.hypot(*second)
            if not lengths:
                raise QueryError("Cannot compute cosine distance against zero vector.")
            return 1 - math.fsum(a * b for a, b in pairs) / lengths
        case _ if kind == _NEGATIVE_PRODUCT:
            return -math.fsum(a * b for a, b in pairs)
        case _:
            raise QueryError(f"Invalid type of distance '{kind}': use EUCLIDEAN, MANHATTAN or COSINE.")


@dataclass(frozen=True)
class Search:
    """A validated call of VECTOR_SEARCH.

    Attributes:
        base: The GoogleSQL of the table to search.
        base_column: Its column of vectors.
        query: The GoogleSQL of the vectors to search for.
        query_column: Their column.
        top_k: The number of nearest vectors.
        kind: The type of distance.
        single: Whether there is a single vector to search for, which is not in the result.
    """

    base: str
    base_column: str
    query: str
    query_column: str
    top_k: int
    kind: str
    single: bool

    def sql(self, function: str) -> str:
        """Return the subquery that replaces the call; ``function`` is the name of the registered distance function."""
        kind = _NEGATIVE_PRODUCT if self.kind == "DOT_PRODUCT" else self.kind
        columns = f"base.{quoted(self.base_column)}", f"query.{quoted(self.query_column)}"
        distance = distance_sql(function, *columns, string_literal(kind))
        # A text without an embedding has an empty vector, which is near to nothing.
        queries = (
            f"SELECT __query AS query, ROW_NUMBER() OVER () AS __number FROM ({self.query}) AS __query "
            f"WHERE ARRAY_LENGTH(__query.{quoted(self.query_column)}) > 0"
        )
        bases = f"SELECT __base AS base FROM ({self.base}) AS __base WHERE ARRAY_LENGTH(__base.{quoted(self.base_column)}) > 0"
        compared = f"SELECT query, base, {distance} AS distance, __number FROM ({queries}) CROSS JOIN ({bases})"
        placed = "SELECT *, ROW_NUMBER() OVER (PARTITION BY __number ORDER BY distance) AS __place"
        selected = "base, distance" if self.single else "query, base, distance"
        return (
            f"(SELECT {selected} FROM ({placed} FROM ({compared}) WHERE distance IS NOT NULL) "
            f"WHERE __place <= {self.top_k})"
        )


def prepare_search(
    base: tuple[str, Sequence[Column]],
    column: str,
    query: tuple[str, Sequence[Column]],
    options: Mapping[str, OptionValue],
    *,
    single: bool = False,
) -> Search:
    """Return a validated search.

    Args:
        base: The GoogleSQL of the table to search, and its columns.
        column: The column of the vectors in it.
        query: The GoogleSQL of the vectors to search for, and its columns.
        options: The named arguments, in lower case.
        single: Whether the query returns the one vector of ``query_value``.

    Raises:
        QueryError: A column is not an ARRAY<FLOAT64>, or an argument is unknown, not valid or not supported.
    """
    remaining = dict(options)
    wanted = remaining.pop("query_column_to_search", None)
    top_k = remaining.pop("top_k", _DEFAULT_TOP_K)
    kind = str(remaining.pop("distance_type", DEFAULT_TYPE)).upper()
    _check_options(remaining.pop("options", None))
    if remaining:
        name = min(remaining)
        raise QueryError(f"{SEARCH}: the argument {name} is not supported.", reason="notImplemented", location="query")
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not top_k:
        raise QueryError(
            f"{SEARCH}: top_k must be a positive whole number, or a negative one for all vectors, not {top_k}.",
            location="query",
        )
    if kind not in _SEARCH_TYPES:
        raise QueryError(
            f"{SEARCH}: distance_type '{kind}' does not exist: use {', '.join(_SEARCH_TYPES)}.", location="query"
        )
    base_column = _vector_column(base[1], column, "column_to_search")
    if single and (wanted is not None or not _is_vector(query[1][0])):
        raise QueryError(f"{SEARCH}: query_value must be an ARRAY<FLOAT64>, without a column.", location="query")
    if wanted is None:
        same = [each.name for each in query[1] if each.name.lower() == base_column.lower()]
        vectors = same or [each.name for each in query[1] if _is_vector(each)]
        if len(vectors) != 1:
            raise QueryError(f"{SEARCH}: query_column_to_search is missing.", location="query")
        wanted = vectors[0]
    query_column = _vector_column(query[1], str(wanted), "query_column_to_search")
    return Search(base[0], base_column, query[0], query_column, _ALL if top_k < 0 else top_k, kind, single)


def _vector_column(columns: Sequence[Column], name: str, argument: str) -> str:
    found = next((column for column in columns if column.name.lower() == name.lower()), None)
    if found is None:
        raise QueryError(f"{SEARCH}: the column {name} of {argument} does not exist.", location="query")
    if not _is_vector(found):
        raise QueryError(
            f"{SEARCH}: the column {name} of {argument} must be an ARRAY<FLOAT64>, and not of another type.",
            location="query",
        )
    return found.name


def _is_vector(column: Column) -> bool:
    # The type of the elements of a literal such as [0.1, 0.9] is NUMERIC in DuckDB.
    return column.field.get("mode") == "REPEATED" and column.field["type"] in ("FLOAT", "NUMERIC", "BIGNUMERIC")


def _check_options(value: OptionValue) -> None:
    if value is None:
        return
    try:
        options = json.loads(str(value))
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise QueryError(f"{SEARCH}: options must be a JSON object.", location="query")
    if unknown := sorted(options.keys() - _SEARCH_OPTIONS):
        raise QueryError(f"{SEARCH}: unknown option {unknown[0]}.", location="query")
    exhaustive, fraction = options.get("use_brute_force", False), options.get("fraction_lists_to_search")
    if not isinstance(exhaustive, bool):
        raise QueryError(f"{SEARCH}: the option use_brute_force must be true or false.", location="query")
    if fraction is None:
        return
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
        raise QueryError(
            f"{SEARCH}: the option fraction_lists_to_search must be a number between 0.0 and 1.0.", location="query"
        )
    if exhaustive:
        raise QueryError(
            f"{SEARCH}: the option fraction_lists_to_search can't be given together with use_brute_force.",
            location="query",
        )
