"""Functions of DATE, DATETIME, TIMESTAMP, TIME, INTERVAL and RANGE."""

from __future__ import annotations

from tests.contract.expressions.values import (
    DATES,
    DATETIMES,
    INTERVALS,
    NO_INT,
    NO_TEXT,
    RANGES,
    TIMES,
    TIMESTAMPS,
    ZONES,
    Family,
    Values,
    infix,
    of,
    single,
    unary,
)

_DAYS = ("YEAR", "QUARTER", "MONTH", "WEEK", "ISOWEEK", "WEEK(MONDAY)", "WEEK(SATURDAY)", "ISOYEAR", "DAY")
_CLOCK = ("HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND")
_LENGTHS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_STEPS = ("1", "-1", "13", NO_INT)
# The C library of the evaluator is without %k, %l and %P, and %J is newer than it.
_DATE_ELEMENTS = (
    *("%A", "%a", "%B", "%b", "%C", "%D", "%d", "%e", "%F", "%G", "%g", "%h", "%j", "%m", "%n", "%Q", "%t"),
    *("%U", "%u", "%V", "%W", "%w", "%x", "%Y", "%y", "%%", "%E4Y", "x"),
)
_TIME_ELEMENTS = ("%H", "%I", "%M", "%p", "%R", "%r", "%S", "%T", "%X", "%E*S", "%E3S", "%E6S", "%E0S")
_EPOCHS = ("0", "-1", "1709210096", "253402300799", "253402300800", "-62135596800", "9223372036854775807", NO_INT)
_PARSED_DATES = (
    ("%Y-%m-%d", ("'2024-02-29'", "'2023-02-29'", "' 2024-2-9'", "'x'")),
    ("%D", ("'02/29/24'", "'02/29/70'", "'02/29/68'")),
    ("%m/%d/%y", ("'1/2/69'", "'1/2/68'")),
    ("%Y", ("'2024'", "'99999'")),
    ("%A %d %B %Y", ("'Thursday 29 February 2024'", "'thursday 29 FEBRUARY 2024'", "'Monday 29 February 2024'")),
    ("%j %Y", ("'60 2024'", "'366 2023'")),
    ("%e %b %Y", ("' 9 Feb 2024'",)),
    ("%Q %Y", ("'2 2024'",)),
    ("%C %y", ("'19 24'",)),
    ("%H", ("'1'",)),
)
_PARSED_DATETIMES = (
    ("%Y-%m-%d %H:%M:%S", ("'2024-02-29 12:34:56'", "'2024-02-29 24:00:00'", "'2024-02-29 12:34:60'")),
    ("%c", ("'Thu Feb 29 12:34:56 2024'",)),
    ("%Y-%m-%d %I:%M %p", ("'2024-02-29 12:34 AM'", "'2024-02-29 13:34 PM'")),
    ("%Y-%m-%d %H:%M:%E*S", ("'2024-02-29 12:34:56.789'", "'2024-02-29 12:34:56'")),
    ("%Y-%m-%d %H:%M:%E3S", ("'2024-02-29 12:34:56.789123'",)),
    ("%s", ("'1709210096'",)),
)
_PARSED_TIMES = (
    ("%H:%M:%S", ("'12:34:56'", "'25:00:00'")),
    ("%I:%M %p", ("'2:23:38'", "'02:23 pm'")),
    ("%R", ("'12:34'",)),
    ("%r", ("'11:12:13 PM'",)),
    ("%E*S", ("'59.5'",)),
)


def _as_text(template: str, *pools: Values) -> Family:
    """Return a family whose results are intervals or ranges, as texts."""
    return of(f"CAST({template} AS STRING)", *pools)


FAMILIES = [
    *(
        of(f"EXTRACT({part} FROM {{0}})", pool)
        for part in (*_DAYS, "DAYOFWEEK", "DAYOFYEAR")
        for pool in (DATES, DATETIMES, TIMESTAMPS)
    ),
    *(of(f"EXTRACT({part} FROM {{0}})", pool) for part in _CLOCK for pool in (DATETIMES, TIMESTAMPS, TIMES, DATES)),
    *(of(f"EXTRACT({part} FROM {{0}})", TIMESTAMPS) for part in ("DATE", "TIME", "DATETIME")),
    *(
        of(f"EXTRACT({part} FROM {{0}} AT TIME ZONE {{1}})", TIMESTAMPS[:3], ZONES)
        for part in ("HOUR", "DAY", "WEEK", "DATE", "TIME", "DATETIME", "YEAR")
    ),
    *(of(f"DATE_TRUNC({{0}}, {part})", DATES) for part in _DAYS),
    *(of(f"DATE_DIFF({{0}}, {{1}}, {part})", DATES, DATES) for part in _DAYS),
    *(of(f"LAST_DAY({{0}}, {part})", DATES) for part in _DAYS),
    *(of(f"DATETIME_TRUNC({{0}}, {part})", DATETIMES) for part in (*_DAYS, *_CLOCK)),
    *(of(f"DATETIME_DIFF({{0}}, {{1}}, {part})", DATETIMES, DATETIMES) for part in (*_DAYS, *_CLOCK)),
    *(of(f"TIMESTAMP_TRUNC({{0}}, {part})", TIMESTAMPS) for part in (*_DAYS, *_CLOCK)),
    *(of(f"TIMESTAMP_TRUNC({{0}}, {part}, {{1}})", TIMESTAMPS[:3], ZONES[1:3]) for part in (*_DAYS, *_CLOCK)),
    *(of(f"TIMESTAMP_DIFF({{0}}, {{1}}, {part})", TIMESTAMPS, TIMESTAMPS) for part in ("DAY", *_CLOCK)),
    *(of(f"TIME_TRUNC({{0}}, {part})", TIMES) for part in _CLOCK),
    *(of(f"TIME_DIFF({{0}}, {{1}}, {part})", TIMES, TIMES) for part in _CLOCK),
    *(of(f"TIME_{verb}({{0}}, INTERVAL {{1}} {part})", TIMES, _STEPS) for part in _CLOCK for verb in ("ADD", "SUB")),
    *(of(f"TIMESTAMP_ADD({{0}}, INTERVAL {{1}} {part})", TIMESTAMPS, _STEPS) for part in ("DAY", *_CLOCK)),
    *(of(f"DATE_{verb}({{0}}, INTERVAL {{1}} {part})", DATES, _STEPS) for part in _LENGTHS for verb in ("ADD", "SUB")),
    *(of(f"DATETIME_ADD({{0}}, INTERVAL {{1}} {part})", DATETIMES, _STEPS) for part in (*_LENGTHS, *_CLOCK)),
    of("DATE({0}, {1}, {2})", ("2024", "2023", "0", "10000"), ("2", "13"), ("29", "31", "1")),
    *unary("DATE", TIMESTAMPS, DATETIMES),
    of("DATE({0}, {1})", TIMESTAMPS[:3], ZONES),
    of("DATETIME({0}, 2, 29, 1, 2, 3)", ("2024", "2023")),
    of("DATETIME({0}, {1})", DATES, TIMES),
    *unary("DATETIME", DATES, TIMESTAMPS),
    of("DATETIME({0}, {1})", TIMESTAMPS[:3], ZONES),
    *unary("TIMESTAMP", ("'2024-02-29 12:00:00+05:30'", "'2024-02-29'", "'2024-02-29T12:00:00Z'", "'x'")),
    of("TIMESTAMP({0}, {1})", ("'2024-02-29 12:00:00'", "'2024-07-01'"), ZONES),
    *unary("TIMESTAMP", DATES, DATETIMES),
    of("TIMESTAMP({0}, {1})", ("DATETIME '2023-03-12 02:30:00'", "DATETIME '2023-11-05 03:30:00'"), ZONES),
    of("TIME({0}, {1}, {2})", ("0", "23", "24"), ("0", "59"), ("0", "60", "59")),
    *unary("TIME", TIMESTAMPS, DATETIMES),
    *unary("STRING", TIMESTAMPS, DATES, DATETIMES, TIMES),
    of("STRING({0}, {1})", TIMESTAMPS[:3], ZONES),
    *unary("UNIX_DATE", DATES),
    *unary("DATE_FROM_UNIX_DATE", ("0", "-1", "19782", "-719162", "2932896", "2932897", NO_INT)),
    *unary("UNIX_SECONDS UNIX_MILLIS UNIX_MICROS", TIMESTAMPS),
    *unary("TIMESTAMP_SECONDS TIMESTAMP_MILLIS TIMESTAMP_MICROS", _EPOCHS),
    *(of(f"FORMAT_DATE('{each}', {{0}})", DATES[:4]) for each in _DATE_ELEMENTS),
    *(of(f"FORMAT_DATETIME('{each}', {{0}})", DATETIMES[:3]) for each in (*_DATE_ELEMENTS, *_TIME_ELEMENTS, "%c")),
    *(of(f"FORMAT_TIME('{each}', {{0}})", TIMES) for each in _TIME_ELEMENTS),
    *(
        of(f"FORMAT_TIMESTAMP('{each}', {{0}})", TIMESTAMPS)
        for each in (*_TIME_ELEMENTS, "%Z", "%z", "%Ez", "%s", "%c")
    ),
    *(
        of(f"FORMAT_TIMESTAMP('{each}', {{0}}, {{1}})", TIMESTAMPS[:2], ZONES)
        for each in ("%Z", "%z", "%Ez", "%s", "%F_%T")
    ),
    *(of(f"PARSE_DATE('{form}', {{0}})", (*texts, NO_TEXT)) for form, texts in _PARSED_DATES),
    *(of(f"PARSE_DATETIME('{form}', {{0}})", (*texts, NO_TEXT)) for form, texts in _PARSED_DATETIMES),
    *(of(f"PARSE_TIMESTAMP('{form}', {{0}})", (*texts, NO_TEXT)) for form, texts in _PARSED_DATETIMES),
    *(of(f"PARSE_TIMESTAMP('{form}', {{0}}, {{1}})", texts[:1], ZONES) for form, texts in _PARSED_DATETIMES),
    *(of(f"PARSE_TIME('{form}', {{0}})", (*texts, NO_TEXT)) for form, texts in _PARSED_TIMES),
    of("PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S %z', {0})", ("'2024-02-29 12:34:56 +0530'",)),
    of(
        "PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S %Z', {0})",
        ("'2024-02-29 12:34:56 UTC'", "'2024-02-29 12:34:56 America/New_York'"),
    ),
    of("DATE_BUCKET({0}, INTERVAL 2 DAY)", DATES),
    of("DATE_BUCKET({0}, INTERVAL 7 DAY, DATE '2000-12-24')", DATES),
    of("DATETIME_BUCKET({0}, INTERVAL 12 HOUR)", DATETIMES),
    of("TIMESTAMP_BUCKET({0}, INTERVAL 12 HOUR)", TIMESTAMPS),
    *(of(f"{{0}} {sign} INTERVAL 1 {part}", DATES) for sign in "+-" for part in ("DAY", "HOUR", "MONTH")),
    *infix("+ -", (DATES, ("1", "-1", "100000"))),
    of("{0} - INTERVAL 90 MINUTE", TIMESTAMPS),
    of("{0} + INTERVAL '1-1' YEAR TO MONTH", DATETIMES),
    *(_as_text("({0} - {1})", pool, pool) for pool in (DATES, TIMESTAMPS, DATETIMES, TIMES)),
    *infix("= < >= !=", (DATES, DATES), (TIMESTAMPS, TIMESTAMPS), (DATETIMES, DATETIMES), (INTERVALS, INTERVALS)),
    *(of(f"EXTRACT({part} FROM {{0}})", INTERVALS) for part in ("YEAR", "MONTH", "DAY", *_CLOCK)),
    _as_text("{0}", INTERVALS),
    _as_text("(-{0})", INTERVALS),
    _as_text("({0} * {1})", INTERVALS, ("2", "-1", "0")),
    _as_text("({0} / {1})", INTERVALS, ("2", "-3")),
    _as_text("({0} + {1})", INTERVALS, INTERVALS),
    _as_text("JUSTIFY_DAYS({0})", INTERVALS),
    _as_text("JUSTIFY_HOURS({0})", INTERVALS),
    _as_text("JUSTIFY_INTERVAL({0})", INTERVALS),
    *unary("RANGE_START RANGE_END", RANGES[:4]),
    of("RANGE_CONTAINS({0}, {1})", RANGES, RANGES),
    of("RANGE_CONTAINS({0}, {1})", RANGES, ("DATE '2020-06-01'", "DATE '2021-01-01'", "CAST(NULL AS DATE)")),
    of("RANGE_OVERLAPS({0}, {1})", RANGES, RANGES),
    of("{0} = {1}", RANGES, RANGES),
    *single(
        "SAFE.PARSE_DATE('%F', 'x')",
        "SAFE.DATE(2023, 2, 29)",
        "SAFE.TIMESTAMP('x')",
        "SAFE.DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)",
        "SAFE.TIMESTAMP_SECONDS(9223372036854775807)",
        "DATE '2024-01-01' = '2024-01-01'",
        "DATE '2024-01-01' BETWEEN '2023-01-01' AND '2025-01-01'",
        "DATETIME '2024-01-01' > '2023-01-01'",
        "FORMAT_DATE('%H', DATE '2020-01-01')",
        "TIMESTAMP('2024-01-01', 'Nope')",
        "CAST(MAKE_INTERVAL(1, 2, 3, 4, 5, 6) AS STRING)",
        "CAST(MAKE_INTERVAL(day => 3, hour => -2) AS STRING)",
        "CAST(INTERVAL '10:20:30.52' HOUR TO SECOND AS STRING)",
        "CAST(CAST('P1Y2M3DT4H5M6S' AS INTERVAL) AS STRING)",
        "CAST(CAST('x' AS INTERVAL) AS STRING)",
        "GENERATE_DATE_ARRAY('2024-01-01', '2024-03-01', INTERVAL 1 MONTH)",
        "GENERATE_DATE_ARRAY(DATE '2024-01-10', DATE '2024-01-01', INTERVAL -3 DAY)",
        "GENERATE_DATE_ARRAY(DATE '2024-01-01', DATE '2024-01-02', INTERVAL 0 DAY)",
        "GENERATE_DATE_ARRAY(DATE '2024-01-31', DATE '2024-05-31', INTERVAL 1 MONTH)",
        "GENERATE_TIMESTAMP_ARRAY('2024-01-01', '2024-01-02', INTERVAL 12 HOUR)",
        "RANGE(DATE '2022-01-02', DATE '2022-01-01') IS NULL",
        "CAST(RANGE_INTERSECT(RANGE<DATE> '[2020-01-01, 2021-01-01)', RANGE<DATE> '[2020-06-01, UNBOUNDED)') AS STRING)",
    ),
]
