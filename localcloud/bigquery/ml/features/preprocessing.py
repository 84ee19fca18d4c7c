"""The functions that prepare features: norms, n-grams, buckets and crosses of a row, scalers and encoders over all rows.

Functions over all rows become window functions of the query; those of a row that GoogleSQL cannot express, or only at
length, become functions of DuckDB.

https://cloud.google.com/bigquery/docs/manual-preprocessing
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.predicting.prediction import quoted

_FORMATS = ("bucket_names", "bucket_ranges", "bucket_ranges_json")


@dataclass(frozen=True)
class RowFunction:
    """A function of DuckDB: its name, its types in DuckDB, the type of its result, and the function of a row's values."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    arrow_type: pa.DataType
    value: Callable[..., Any]

    def values(self, *columns: pa.Array) -> pa.Array:
        """Return the result for each row; NULL if the first argument is NULL."""
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([None if row[0] is None else self.value(*row) for row in rows], self.arrow_type)


def _norm(vector: Sequence[float | None], degree: float | None) -> float:
    if degree is None or not (degree == 0 or degree >= 1):
        raise QueryError(f"The degree of a norm must be 0.0, at least 1.0, or infinity, not {degree}.")
    lengths = [abs(value) for value in vector if value is not None]
    if len(lengths) < len(vector):
        raise QueryError("A vector with NULL elements has no norm.")
    if degree == 0:
        return float(sum(length != 0 for length in lengths))
    if math.isinf(degree):
        return max(lengths, default=0.0)
    return math.pow(math.fsum(math.pow(length, degree) for length in lengths), 1 / degree)


def _normalized(vector: Sequence[float], degree: float | None) -> list[float]:
    norm = _norm(vector, degree)
    return [value / norm if norm else 0.0 for value in vector]


def _ngrams(words: Sequence[str | None], sizes: Sequence[int | None] | None, separator: str | None) -> list[str]:
    known = [size for size in sizes or () if size is not None]
    if len(known) not in (1, 2) or known[0] < 1 or known[-1] < known[0]:
        raise QueryError("The range of ML.NGRAMS must be a size, or the least and the greatest size, from 1 on.")
    if separator is None or None in words:
        raise QueryError("The words and the separator of ML.NGRAMS must not be NULL.")
    texts = [str(word) for word in words]
    lengths = range(known[0], known[-1] + 1)
    return [
        separator.join(texts[at : at + size]) for at in range(len(texts)) for size in lengths if at + size <= len(texts)
    ]


def _bucket(value: float, points: Sequence[float | None] | None, exclude: bool | None, form: str | None) -> str:
    edges = [point for point in points or () if point is not None and math.isfinite(point)]
    if form not in _FORMATS:
        raise QueryError(f"The output format of a bucket must be one of {', '.join(_FORMATS)}, not {form}.")
    if points is None or len(edges) < len(points) or edges != sorted(edges):
        raise QueryError("The split points of ML.BUCKETIZE must be finite numbers from the lowest to the highest.")
    edges = sorted(set(edges[1:-1] if exclude else edges))
    index = sum(value >= edge for edge in edges)
    if form == "bucket_names":
        return f"bin_{index + 1}"
    start, end = ([None, *edges][index], [*edges, None][index])
    if form == "bucket_ranges":
        return f"{'(-inf' if start is None else f'[{start:.15g}'}, {'+inf' if end is None else f'{end:.15g}'})"
    limits = {
        "start": "-Infinity" if start is None else f"{start:.15g}",
        "end": "Infinity" if end is None else f"{end:.15g}",
    }
    return json.dumps(limits)


def _hash_bucket(fingerprint: int, buckets: int | None) -> int:
    """Return the bucket of a text by its FARM_FINGERPRINT, whose 64 bits are a number without a sign here."""
    if buckets is None or buckets < 0:
        raise QueryError(f"The number of buckets of ML.HASH_BUCKETIZE must be at least 0, not {buckets}.")
    return fingerprint % 2**64 % buckets if buckets else fingerprint


_LP_NORM = RowFunction("ml_lp_norm", ("DOUBLE[]", "DOUBLE"), "DOUBLE", pa.float64(), _norm)
_NORMALIZER = RowFunction("ml_normalizer", ("DOUBLE[]", "DOUBLE"), "DOUBLE[]", pa.list_(pa.float64()), _normalized)
_NGRAMS = RowFunction("ml_ngrams", ("VARCHAR[]", "BIGINT[]", "VARCHAR"), "VARCHAR[]", pa.list_(pa.string()), _ngrams)
_HASH_BUCKETIZE = RowFunction("ml_hash_bucketize", ("BIGINT", "BIGINT"), "BIGINT", pa.int64(), _hash_bucket)
_BUCKETIZE = RowFunction("ml_bucketize", ("DOUBLE", "DOUBLE[]", "BOOLEAN", "VARCHAR"), "VARCHAR", pa.string(), _bucket)


@dataclass(frozen=True)
class Preprocessing:
    """A function of GoogleSQL.

    Attributes:
        least: The number of arguments without a default.
        defaults: The GoogleSQL of the others' defaults.
        sql: Returns the expression for the GoogleSQL of all arguments.
        function: The function of DuckDB that the expression calls, or None.
        analytic: Whether the function needs OVER ().
    """

    least: int
    defaults: tuple[str, ...]
    sql: Callable[..., str]
    function: RowFunction | None = None
    analytic: bool = False


def _number(text: str) -> str:
    return f"CAST({text} AS FLOAT64)"


def _numbers(text: str) -> str:
    return f"CAST({text} AS ARRAY<FLOAT64>)"


def _sizes(text: str) -> str:
    return text if text.lstrip().upper().startswith(("[", "ARRAY", "GENERATE_ARRAY")) else f"[{text}]"


def _standard(value: str) -> str:
    number = _number(value)
    return _scaled(f"{number} - AVG({number}) OVER ()", f"STDDEV_SAMP({number}) OVER ()")


def _min_max(value: str) -> str:
    number = _number(value)
    return _scaled(f"{number} - MIN({number}) OVER ()", f"(MAX({number}) OVER () - MIN({number}) OVER ())")


def _max_abs(value: str) -> str:
    return _scaled(_number(value), f"MAX(ABS({_number(value)})) OVER ()")


def _scaled(value: str, size: str) -> str:
    """Return a value divided by its size; 0 if all rows have the same value."""
    return f"IF(IFNULL({size}, 0) = 0, {value}, ({value}) / NULLIF({size}, 0))"


def _quantile(number: str, share: str) -> str:
    return f"PERCENTILE_DISC({number}, {share}) OVER ()"


def _robust(value: str, limits: Sequence[int], centred: bool, scaled: bool) -> str:
    if len(limits) != 2 or not 0 < limits[0] < limits[1] < 100:
        raise QueryError("The quantile range of ML.ROBUST_SCALER must be two INT64 between 0 and 100, the lower first.")
    number = _number(value)
    result = f"({number} - {_quantile(number, '0.5')})" if centred else number
    if not scaled:
        return result
    low, high = (_quantile(number, str(limit / 100)) for limit in limits)
    return _scaled(result, f"({high} - {low})")


def _quantile_bucket(value: str, buckets: int, form: str) -> str:
    if not isinstance(buckets, int) or buckets < 2:
        raise QueryError("The number of buckets of ML.QUANTILE_BUCKETIZE must be an INT64 from 2 on.")
    number = _number(value)
    points = ", ".join(_quantile(number, repr(index / buckets)) for index in range(1, buckets))
    return f"{_BUCKETIZE.name}({number}, [{points}], FALSE, '{form}')"


def _imputed(value: str, strategy: str) -> str:
    if strategy == "most_frequent":
        return f"ml_imputed_text({value})"
    number = _number(value)
    found = {"mean": f"AVG({number}) OVER ()", "median": _quantile(number, "0.5")}.get(str(strategy))
    if found is None:
        raise QueryError(f"The strategy of ML.IMPUTER must be mean, median or most_frequent, not {strategy}.")
    return f"IFNULL({number}, {found})"


def _label(value: str, top: int, least: int) -> str:
    return f"ml_label_encoder({value}, {_vocabulary('ML.LABEL_ENCODER', top, least)})"


def _one_hot(value: str, drop: str, top: int, least: int) -> str:
    if drop not in ("none", "most_frequent"):
        raise QueryError(f"ML.ONE_HOT_ENCODER drops none or most_frequent, not {drop}.", location="query")
    dropping = "TRUE" if drop == "most_frequent" else "FALSE"
    return f"ml_one_hot_encoder({value}, {dropping}, {_vocabulary('ML.ONE_HOT_ENCODER', top, least)})"


def _multi_hot(value: str, top: int, least: int) -> str:
    texts = f"CAST({value} AS ARRAY<STRING>)"
    return f"ml_multi_hot_encoder({texts}, {_vocabulary('ML.MULTI_HOT_ENCODER', top, least)})"


def _vocabulary(function: str, top: int, least: int) -> str:
    if not isinstance(top, int) or not 0 < top < 1_000_000:
        raise QueryError(f"The top_k of {function} must be an INT64 from 1 to 999,999, not {top}.", location="query")
    if not isinstance(least, int) or least < 0:
        raise QueryError(f"The frequency_threshold of {function} must be an INT64 from 0 on, not {least}.")
    return f"{top}, {least}"


SCALAR: dict[str, Preprocessing] = {
    "ML.LP_NORM": Preprocessing(2, (), lambda v, p: f"ml_lp_norm({_numbers(v)}, {_number(p)})", _LP_NORM),
    "ML.NORMALIZER": Preprocessing(
        1, ("2.0",), lambda v, p: f"ml_normalizer({_numbers(v)}, {_number(p)})", _NORMALIZER
    ),
    "ML.NGRAMS": Preprocessing(2, ("' '",), lambda v, r, s: f"ml_ngrams({v}, {_sizes(r)}, {s})", _NGRAMS),
    "ML.BUCKETIZE": Preprocessing(
        2,
        ("FALSE", "'bucket_names'"),
        lambda v, points, exclude, form: f"ml_bucketize({_number(v)}, {_numbers(points)}, {exclude}, {form})",
        _BUCKETIZE,
    ),
    "ML.HASH_BUCKETIZE": Preprocessing(
        2, (), lambda v, buckets: f"ml_hash_bucketize(FARM_FINGERPRINT({v}), {buckets})", _HASH_BUCKETIZE
    ),
}
"""The functions of a row."""

# The arguments after the first one are constants.
ANALYTIC: dict[str, Preprocessing] = {
    "ML.STANDARD_SCALER": Preprocessing(1, (), _standard, analytic=True),
    "ML.MIN_MAX_SCALER": Preprocessing(1, (), _min_max, analytic=True),
    "ML.MAX_ABS_SCALER": Preprocessing(1, (), _max_abs, analytic=True),
    "ML.ROBUST_SCALER": Preprocessing(1, ("[25, 75]", "TRUE", "TRUE"), _robust, analytic=True),
    "ML.QUANTILE_BUCKETIZE": Preprocessing(2, ("'bucket_names'",), _quantile_bucket, _BUCKETIZE, analytic=True),
    "ML.IMPUTER": Preprocessing(2, (), _imputed, analytic=True),
    "ML.LABEL_ENCODER": Preprocessing(1, ("32000", "5"), _label, analytic=True),
    "ML.ONE_HOT_ENCODER": Preprocessing(1, ("'none'", "32000", "5"), _one_hot, analytic=True),
    "ML.MULTI_HOT_ENCODER": Preprocessing(1, ("32000", "5"), _multi_hot, analytic=True),
}
"""The functions over all rows."""


def crossed(names: Sequence[str], values: Sequence[str], degree: int) -> str:
    """Return ML.FEATURE_CROSS: the texts of 2 to ``degree`` features of a STRUCT, joined with ``_``."""
    _check_degree("ML.FEATURE_CROSS", len(names), degree)
    parts = (tuple(pair) for size in range(2, degree + 1) for pair in itertools.combinations(range(len(names)), size))
    return _struct(names, sorted(parts), lambda part: " || '_' || ".join(f"({values[index]})" for index in part))


def expanded(names: Sequence[str], values: Sequence[str], degree: int) -> str:
    """Return ML.POLYNOMIAL_EXPAND: the products of 1 to ``degree`` features of a STRUCT, as texts."""
    _check_degree("ML.POLYNOMIAL_EXPAND", len(names), degree)
    indexes = range(len(names))
    parts = (p for size in range(1, degree + 1) for p in itertools.combinations_with_replacement(indexes, size))
    return _struct(
        names, sorted(parts), lambda part: f"FORMAT('%T', {' * '.join(_number(values[index]) for index in part)})"
    )


def _check_degree(function: str, features: int, degree: int) -> None:
    if not isinstance(degree, int) or not 1 <= degree <= 4 or features > 10:
        raise QueryError(f"{function} takes at most 10 features, and a degree from 1 to 4.", location="query")


def _struct(names: Sequence[str], parts: Sequence[tuple[int, ...]], value: Callable[[tuple[int, ...]], str]) -> str:
    fields = (f"{value(part)} AS {quoted('_'.join(names[index] for index in part))}" for part in parts)
    return f"STRUCT({', '.join(fields)})"
