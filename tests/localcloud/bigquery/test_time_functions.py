"""Functions of dates and times whose results differ in DuckDB; the values are those of Google's reference of GoogleSQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from tests.localcloud.bigquery.reference import assert_values, utc
from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


VALUES: dict[str, dict[str, Any]] = {
    "timestamp_diff_counts_whole_units": {
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-14 02:00:00', TIMESTAMP '2018-08-13 23:00:00', DAY)": 0,
        "TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)": 0,
        "TIMESTAMP_DIFF(TIMESTAMP '2010-07-07 10:20:00', TIMESTAMP '2008-12-25 15:30:00', HOUR)": 13410,
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)": -61,
        "TIMESTAMP_DIFF(TIMESTAMP '2018-08-13 23:59:59.5', TIMESTAMP '2018-08-14 00:00:00.7', SECOND)": -1,
        "TIMESTAMP_DIFF('2018-08-14 12:00:00+00', '2018-08-13 13:00:00+00', DAY)": 0,
    },
    "date_diff_counts_boundaries": {
        "DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)": 1,
        "DATE_DIFF('2017-12-18', '2017-12-17', WEEK)": 0,
        "DATE_DIFF('2017-12-18', '2017-12-17', WEEK(MONDAY))": 1,
        "DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', ISOWEEK)": 1,
        "DATE_DIFF(DATE '2017-12-18', DATE '2017-12-19', WEEK(TUESDAY))": -1,
        "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)": 3,
        "DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', ISOYEAR)": 2,
        "DATETIME_DIFF(DATETIME '2018-08-14 00:00:01', DATETIME '2018-08-13 23:59:59', DAY)": 1,
        "DATETIME_DIFF(DATETIME '2017-10-15', DATETIME '2017-10-14', WEEK)": 1,
        "DATETIME_DIFF(DATETIME '2017-12-18', DATETIME '2017-12-17', WEEK(MONDAY))": 1,
        "DATETIME_DIFF(DATETIME '2017-12-18', DATETIME '2017-12-17', ISOWEEK)": 1,
    },
    "texts_become_times": {
        "TIMESTAMP_ADD('2008-12-25 15:30:00+00', INTERVAL 10 MINUTE)": utc(2008, 12, 25, 15, 40),
        "TIMESTAMP_SUB('2008-12-25 15:30:00 America/Los_Angeles', INTERVAL 1 DAY)": utc(2008, 12, 24, 23, 30),
        "TIMESTAMP_TRUNC('2008-12-25 15:30:00+00', HOUR)": utc(2008, 12, 25, 15),
        "DATETIME_ADD('2008-12-25 15:30:00', INTERVAL 10 MINUTE)": dt.datetime(2008, 12, 25, 15, 40),
        "TIME_ADD('15:30:00', INTERVAL 10 MINUTE)": dt.time(15, 40),
        "DATE_SUB('2008-03-31', INTERVAL 1 MONTH)": dt.date(2008, 2, 29),
    },
    "intervals": {
        "CAST(-INTERVAL 1 DAY AS STRING)": "0-0 -1 0:0:0",
        "CAST(INTERVAL 1 DAY - INTERVAL 36 HOUR AS STRING)": "0-0 1 -36:0:0",
        "CAST(INTERVAL '-1-3 2 -1:02:03.5' YEAR TO SECOND AS STRING)": "-1-3 2 -1:2:3.500",
        "CAST(JUSTIFY_HOURS(INTERVAL '1 -36' DAY TO HOUR) AS STRING)": "0-0 0 -12:0:0",
        "CAST(JUSTIFY_DAYS(INTERVAL -35 DAY) AS STRING)": "-0-1 -5 0:0:0",
        "CAST(JUSTIFY_INTERVAL(INTERVAL '0-0 29 49' YEAR TO HOUR) AS STRING)": "0-1 1 1:0:0",
        "CAST(CAST('-1-2 3 10:20:30.456' AS INTERVAL) AS STRING)": "-1-2 3 10:20:30.456",
        "CAST(SAFE_CAST('1 day' AS INTERVAL) AS STRING)": None,
        "CAST(CAST('PT10H20M30,456S' AS INTERVAL) AS STRING)": "0-0 0 10:20:30.456",
        "-INTERVAL '1-2' YEAR TO MONTH": relativedelta(years=-1, months=-2),
        "INTERVAL 1 DAY * -2": relativedelta(days=-2),
        "DATE '2021-05-20' - DATE '2020-04-19'": relativedelta(days=396),
        "CAST(TIMESTAMP '2021-06-02 00:00:01+00' - TIMESTAMP '2021-06-01 00:00:00+00' AS STRING)": "0-0 0 24:0:1",
        "TIME '10:00:00' - TIME '12:30:00'": relativedelta(hours=-2, minutes=-30),
    },
    "zones": {
        "DATE(TIMESTAMP '2024-02-29 23:00:00+00', '+05:30')": dt.date(2024, 3, 1),
        "DATETIME(TIMESTAMP '2024-02-29 23:00:00+00', '-08')": dt.datetime(2024, 2, 29, 15),
        "DATETIME(TIMESTAMP '2024-02-29 23:00:00+00', zone)": dt.datetime(2024, 2, 29, 15),
        "TIME(TIMESTAMP '2024-02-29 23:00:00+00', '-8')": dt.time(15),
        "TIMESTAMP('2024-02-29 23:00:00', '+0530')": utc(2024, 2, 29, 17, 30),
        "TIMESTAMP(DATE '2024-02-29', zone)": utc(2024, 2, 29, 8),
        "EXTRACT(HOUR FROM TIMESTAMP '2024-02-29 23:00:00+00' AT TIME ZONE '-08')": 15,
        "EXTRACT(DATETIME FROM TIMESTAMP '2024-02-29 23:00:00+00' AT TIME ZONE zone)": dt.datetime(2024, 2, 29, 15),
        "TIMESTAMP_TRUNC(TIMESTAMP '2024-02-29 23:00:00+00', YEAR, '+05:30')": utc(2023, 12, 31, 18, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2024-02-29 23:00:00+00', WEEK, '+05:30')": utc(2024, 2, 24, 18, 30),
        "STRING(TIMESTAMP '2024-02-29 23:00:00+00', '-08')": "2024-02-29 15:00:00-08",
        "CAST(TIMESTAMP '2024-02-29 23:00:00+00' AS STRING FORMAT 'HH24' AT TIME ZONE '-08')": "15",
        "CURRENT_DATE('-08') BETWEEN CURRENT_DATE() - 1 AND CURRENT_DATE()": True,
        "CURRENT_TIME('+05:30') = CURRENT_TIME('Asia/Kolkata')": True,
        "TIME(moment)": dt.time(1, 2, 3, 500000),
        "EXTRACT(TIME FROM moment)": dt.time(1, 2, 3, 500000),
        "SAFE.DATE(moment, 'UTC')": dt.date(1969, 12, 31),
    },
    "ranges_of_times": {
        "SAFE.DATE_ADD(DATE '9999-12-31', INTERVAL 1 DAY)": None,
        "TIME(23, 59, 60)": dt.time(0),
        "SAFE.TIME(24, 0, 0)": None,
        "MAKE_INTERVAL(CAST(half * 2 AS INT64), 2, 3)": relativedelta(years=1, months=2, days=3),
        "MAKE_INTERVAL()": relativedelta(),
        "CAST(DATETIME '2024-01-01' - DATETIME '2023-12-30 12:00:00' AS STRING)": "0-0 1 12:0:0",
        "CAST(DATETIME '9999-12-31 23:59:59.999999' - DATETIME '2023-01-01' AS STRING)": "0-0 2913538 23:59:59.999999",
        "DATE_TRUNC(day, MONTH)": dt.date(2024, 2, 1),
        "DATE_TRUNC(day, YEAR)": dt.date(2024, 1, 1),
    },
    "truncation": {
        "DATE_TRUNC(DATE '2017-11-05', WEEK)": dt.date(2017, 11, 5),
        "DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))": dt.date(2017, 10, 30),
        "DATE_TRUNC(DATE '2017-11-05', ISOWEEK)": dt.date(2017, 10, 30),
        "DATE_TRUNC(DATE '2015-06-15', ISOYEAR)": dt.date(2014, 12, 29),
        "DATETIME_TRUNC(DATETIME '2017-11-05 10:00:00', WEEK(MONDAY))": dt.datetime(2017, 10, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2015-06-15 00:00:00+00', ISOYEAR)": utc(2014, 12, 29),
        "TIMESTAMP_TRUNC(TIMESTAMP '2017-11-06 00:00:00+12', WEEK(MONDAY), 'UTC')": utc(2017, 10, 30),
        "TIMESTAMP_TRUNC(TIMESTAMP '2017-11-06 07:00:00+00', WEEK(MONDAY), 'America/New_York')": utc(2017, 11, 6, 5),
    },
    "extraction": {
        "EXTRACT(WEEK FROM DATE '2017-11-05')": 45,
        "EXTRACT(WEEK(MONDAY) FROM DATE '2017-11-05')": 44,
        "EXTRACT(WEEK FROM DATE '2016-01-02')": 0,
        "EXTRACT(ISOWEEK FROM DATE '2017-11-06')": 45,
        "EXTRACT(ISOYEAR FROM DATE '2016-01-03')": 2015,
        "EXTRACT(MILLISECOND FROM TIMESTAMP '2016-12-31 00:00:01.234567+00')": 234,
        "EXTRACT(MICROSECOND FROM TIMESTAMP '2016-12-31 00:00:01.234567+00')": 234567,
        "EXTRACT(TIME FROM DATETIME '2016-12-31 01:02:03')": dt.time(1, 2, 3),
        "EXTRACT(WEEK(MONDAY) FROM TIMESTAMP '2017-11-06 03:00:00+00' AT TIME ZONE 'America/New_York')": 44,
    },
    "last_day": {
        "LAST_DAY(DATE '2008-11-10', WEEK(SUNDAY))": dt.date(2008, 11, 15),
        "LAST_DAY(DATE '2008-11-10', WEEK(MONDAY))": dt.date(2008, 11, 16),
        "LAST_DAY(DATE '2008-11-10', ISOWEEK)": dt.date(2008, 11, 16),
        "LAST_DAY(DATE '2015-06-15', ISOYEAR)": dt.date(2016, 1, 3),
        "LAST_DAY(DATETIME '2008-11-10 15:30:00', QUARTER)": dt.date(2008, 12, 31),
        "LAST_DAY('2008-11-25')": dt.date(2008, 11, 30),
    },
    "buckets": {
        "DATE_BUCKET(DATE '1950-01-02', INTERVAL 2 DAY)": dt.date(1950, 1, 1),
        "DATE_BUCKET(DATE '2020-01-10', INTERVAL 7 DAY, DATE '2020-01-02')": dt.date(2020, 1, 9),
        "DATETIME_BUCKET(DATETIME '1949-12-30 13:00:00', INTERVAL 12 HOUR)": dt.datetime(1949, 12, 30, 12),
        "TIMESTAMP_BUCKET(TIMESTAMP '1949-12-30 13:00:00+00', INTERVAL 12 HOUR)": utc(1949, 12, 30, 12),
    },
    "cast_to_time": {
        "CAST(x.moment AS TIME)": dt.time(1, 2, 3, 500000),
        "SAFE_CAST(x.moment AS TIME)": dt.time(1, 2, 3, 500000),
        "CAST(DATETIME '2024-01-02 03:04:05' AS TIME)": dt.time(3, 4, 5),
        "SAFE_CAST('25:00:00' AS TIME)": None,
    },
    "string_of_times": {
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00')": "2008-12-25 15:30:00+00",
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00', 'America/Los_Angeles')": "2008-12-25 07:30:00-08",
        "STRING(TIMESTAMP '2008-12-25 15:30:00+00', 'Asia/Kolkata')": "2008-12-25 21:00:00+05:30",
        "STRING(DATE '2008-12-25')": "2008-12-25",
    },
    "units_since_1970": {
        "UNIX_SECONDS(TIMESTAMP '1970-01-01 00:00:01.8+00')": 1,
        "UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.2+00')": -1,
        "UNIX_MILLIS(TIMESTAMP '1969-12-31 23:59:59.9995+00')": -1,
        "DATETIME_DIFF(CURRENT_DATETIME('Asia/Kolkata'), CURRENT_DATETIME(), HOUR) IN (5, 6)": True,
    },
    "format_of_times": {
        "FORMAT_TIMESTAMP('%E3S %E*S %E6S', TIMESTAMP '2008-12-25 15:30:00.1234+00')": "00.123 00.1234 00.123400",
        "FORMAT_TIMESTAMP('%z %Ez %Z', TIMESTAMP '2008-12-25 15:30:00+00', 'Asia/Kolkata')": "+0530 +05:30 UTC+0530",
        "FORMAT_TIMESTAMP('%c', TIMESTAMP '2008-12-05 15:30:00+00', 'America/Los_Angeles')": "Fri Dec  5 07:30:00 2008",
        "FORMAT_TIMESTAMP('%s', TIMESTAMP '2008-12-25 05:30:00+00', '-8')": "1230183000",
        "FORMAT_DATE('Q%Q %C %e %g|%G %J %U %n%t%%', DATE '2021-01-03')": "Q1 20  3 20|2020 371 01 \n\t%",
        "FORMAT_DATE('%H', DATE '2021-01-03')": "%H",
        "FORMAT_DATETIME('%k %l %P %r %D', DATETIME '2008-02-05 09:03:04')": " 9  9 am 09:03:04 AM 02/05/08",
        "FORMAT_TIME('%R %E1S %Y', TIME '15:30:00.25')": "15:30 00.2 %Y",
        "FORMAT_TIME(x.text, TIME '15:30:00')": "7",
    },
    "parsing_of_times": {
        "PARSE_DATE('%A %b %e %Y', 'Thursday december 25 2008')": dt.date(2008, 12, 25),
        "PARSE_DATE('%h', 'feb')": dt.date(1970, 2, 1),
        "PARSE_DATE('%Q %C%y', '2 2045')": dt.date(2045, 4, 1),
        "PARSE_DATE('%Y %j', '2020 060')": dt.date(2020, 2, 29),
        "PARSE_DATE('%G-W%V-%u', '2020-W10-3')": dt.date(2020, 3, 4),
        "PARSE_DATE('%Y-%m-%d', ' 2020-1-2 ')": dt.date(2020, 1, 2),
        "PARSE_TIME('%I:%M %p', '12:30 AM')": dt.time(0, 30),
        "PARSE_TIME('%H:%M:%E*S', '15:30:01.5')": dt.time(15, 30, 1, 500000),
        "PARSE_DATETIME('%c', 'Thu Dec 25 07:30:00 2008')": dt.datetime(2008, 12, 25, 7, 30),
        "PARSE_TIMESTAMP('%T', '15:30:01')": utc(1970, 1, 1, 15, 30, 1),
        "PARSE_TIMESTAMP('%a, %d %b %Y %T %z', 'Tue, 05 May 2020 01:02:03 -0700')": utc(2020, 5, 5, 8, 2, 3),
        "PARSE_TIMESTAMP('%F %T', '2020-01-02 03:04:05', 'America/Los_Angeles')": utc(2020, 1, 2, 11, 4, 5),
        "SAFE.PARSE_TIMESTAMP('%F', 'yesterday')": None,
    },
}


@pytest.mark.parametrize("group", VALUES)
def test_results_are_those_of_the_reference(world: BigQueryWorld, group: str) -> None:
    assert_values(world, VALUES[group])
