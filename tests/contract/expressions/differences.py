"""The expressions whose answers are known to differ from those of Google's evaluator, and why: one for each kind."""

from __future__ import annotations

_NO_CONSTANT = "a constant NULL has no type of its own in the engine"
DIFFERENCES: dict[str, str] = {
    "LN(CAST('-inf' AS FLOAT64))": "the engine refuses it as any negative number",
    "CAST('nan' AS FLOAT64) = CAST(NULL AS FLOAT64)": "a comparison with NaN is false before it is NULL",
    "NUMERIC '0' = 1e-300": "the literal beside a NUMERIC stays a FLOAT64",
    "CAST('nan' AS FLOAT64) IN (1.5, CAST(NULL AS FLOAT64))": "a comparison with NaN is false before it is NULL",
    "BIGNUMERIC '1.5' / BIGNUMERIC '-2.25'": "a BIGNUMERIC has 18 digits after the point",
    "CAST(CAST('nan' AS FLOAT64) AS STRING)": "BigQuery writes NaN",
    "CAST(1.005 AS NUMERIC(5,2))": "the literal is rounded as a FLOAT64",
    "LOWER('ΑΣ')": "the engine does not know the final sigma",
    "CONCAT(b'a', CAST(NULL AS BYTES))": _NO_CONSTANT,
    "ARRAY_FIRST(CAST(NULL AS ARRAY<STRING>))": _NO_CONSTANT,
    "RANGE_START(CAST(NULL AS RANGE<DATE>))": _NO_CONSTANT,
    "REGEXP_INSTR('', r'^$')": "an empty match has a place",
    "FORMAT('%f', 1e300)": "the engine writes 20 digits of a FLOAT64 as they are",
    "FORMAT('%f', NUMERIC '99999999999999999999999999999.999999999')": "it is written as a FLOAT64",
    "FORMAT('%d', CAST(NULL AS FLOAT64))": "the type of a NULL is not checked",
    "TIMESTAMP(DATETIME '2023-11-05 01:30:00', 'America/Los_Angeles')": "of two hours, the engine takes the later one",
    "(SELECT STDDEV(x) FROM UNNEST([CAST('nan' AS FLOAT64),1.0]) AS x)": "the engine refuses deviations of NaN",
    "TO_JSON(0.0)": "JSON keeps no point in whole numbers",
    "TO_JSON_STRING(JSON '1e100')": "the number is written as it was",
}
"""The reasons by expressions."""
