"""The guard of queries: what it accepts, what it rejects, and the position in its message.

tests/contract/test_statements.py shows with Google's parser that an accepted query cannot change its statement.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from shared.checks.query_guard import Names, check_condition, check_query, names_in
from shared.errors import Rejected


def _rejection(query: str) -> str:
    with pytest.raises(Rejected) as rejection:
        check_query(query, field="input.query")
    assert rejection.value.problem.field == "input.query"
    assert rejection.value.problem.code == "invalid_query"
    return rejection.value.problem.message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "select title as input from `bigquery-public-data.hacker_news.full`",
        "  \n WITH a AS (SELECT 1) SELECT * FROM a",
        "FROM t |> WHERE a > 1",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "/* a */ SELECT 1 # b",
        "SELECT ';', \")\", '''\n'''';''', r'\\'', b'(', rB\"\"\";\"\"\", `;`",
        "SELECT 'it\\'s'",
        "SELECT '' || \"\" || '''''' || \"\"\"\"\"\"",
        "SELECT x[0], STRUCT<a INT64>(1), {d}, @p, @@error.message, ?",
        "SELECT 1e10, .5, 0xFF, 1.5e-3, a->b, c=>d, e!=f, g<<2, h||i, ~j^k&l|m",
        "SELECT * FROM my-project.d.t",
        "SELECT\u3000'\u200b'",
    ],
)
def test_a_query_is_accepted(query: str) -> None:
    check_query(query, field="input.query")


@pytest.mark.parametrize(
    ("query", "without"),
    [
        ("SELECT 1;", "SELECT 1 "),
        ("SELECT 1 ;\n-- the end;\n", "SELECT 1  \n-- the end;\n"),
        ("SELECT ';'", "SELECT ';'"),
    ],
)
def test_a_final_semicolon_is_left_out(query: str, without: str) -> None:
    assert check_query(query, field="input.query") == without
    assert check_condition(query.removeprefix("SELECT "), field="f") == without.removeprefix("SELECT ")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "input.query is empty"),
        ("-- SELECT 1", "input.query is empty"),
        (";", "input.query is empty"),
        ("SELECT 1; SELECT 2", "more than one statement: the second one begins at line 1, column 11; send one SELECT"),
        ("SELECT 1\n;\nDROP TABLE t", "more than one statement: the second one begins at line 3, column 1"),
        ("SELECT 1;;", "more than one statement: the second one begins at line 1, column 9"),
        ("SELECT (1", "does not close a bracket, at line 1, column 8"),
        ("SELECT 1)", "closes a bracket that is not open, at line 1, column 9"),
        ("SELECT [1)", "closes a bracket that is not open, at line 1, column 10"),
        ("SELECT 'a", "an unclosed string, name or comment, or a name with a backslash at line 1, column 8"),
        ("SELECT `a", "an unclosed string, name or comment, or a name with a backslash at line 1, column 8"),
        ("SELECT `a\\`b`", "a name with a backslash at line 1, column 8"),
        ("SELECT 1\n  /* a", "a comment that begins at line 2, column 3 does not end"),
        ("SELECT 1 \\", "the query holds '\\\\' at line 1, column 10"),
        ("SELECT é", "the query holds 'é' at line 1, column 8"),
        ("SELECT 1\r", "the character U+000D at line 1, column 9"),
        ("SELECT '\u2028'", "the character U+2028 at line 1, column 9"),
        ("DROP TABLE t", "a query begins with SELECT, WITH, FROM or a bracket, not with DROP, at line 1, column 1"),
        ("\n\n  ((DROP))", "a query begins with SELECT, WITH, FROM or a bracket, not with DROP, at line 3, column 5"),
        ("(SELECT 1) AS a", "the query in brackets is followed by something else, at line 1, column 12"),
        ("SELECT 1 |> INSERT INTO t", "a query may only read, at line 1, column 13"),
        ("SELECT AI.GENERATE('x')", "AI.GENERATE calls a model of another service for each row"),
        ("SELECT * FROM EXTERNAL_QUERY('a', 'b')", "EXTERNAL_QUERY is not allowed in a message"),
    ],
)
def test_a_rejection_says_what_is_wrong_and_where(query: str, message: str) -> None:
    assert message in _rejection(query)


def test_each_permission_allows_one_kind_of_function() -> None:
    external, ai = "SELECT * FROM EXTERNAL_QUERY('a', 'b')", "SELECT AI.GENERATE('x')"
    check_query(external, field="f", allow_external=True)
    check_query(ai, field="f", allow_ai=True)
    with pytest.raises(Rejected, match="ALLOW_EXTERNAL_QUERY"):
        check_query(external, field="f", allow_ai=True)
    with pytest.raises(Rejected, match="ALLOW_AI_FUNCTIONS"):
        check_query(ai, field="f", allow_external=True)


@pytest.mark.parametrize("condition", ["a > 1", "a IN (1, 2) -- so", "EXISTS (SELECT 1)", "(a OR b) AND c", "x = ')'"])
def test_a_condition_is_accepted(condition: str) -> None:
    check_condition(condition, field="input.where")


@pytest.mark.parametrize(
    "condition",
    ["", "--", "a)", "a) OR (b", "a; b", "'a", "a /*", "AI.IF(a)", "EXISTS (SELECT 1 FROM EXTERNAL_QUERY('a', 'b'))"],
)
def test_a_condition_is_rejected(condition: str) -> None:
    with pytest.raises(Rejected) as rejection:
        check_condition(condition, field="input.where")
    assert rejection.value.problem.field == "input.where"


LONGEST: dict[str, Callable[[int], str]] = {
    "brackets that stay open": lambda length: "(" * length,
    "brackets": lambda length: "(" * (length // 3) + "SELECT 1" + ")" * (length // 3),
    "calls": lambda length: "SELECT " + "f(" * (length // 5) + ")" * (length // 5),
    "escaped quotes": lambda length: "SELECT '" + "\\'" * (length // 2 - 10_000),
    "triple quotes": lambda length: "SELECT " + "'''" * (length // 3),
    "empty texts": lambda length: "SELECT " + '"" ' * (length // 3),
    "comments that stay open": lambda length: "SELECT " + "/*" * (length // 2 - 10_000),
    "a path": lambda length: "SELECT " + "a." * (length // 2 - 10_000) + "f(1)",
    "a quoted path": lambda length: "SELECT " + "`a`." * (length // 4 - 10_000) + "f(1)",
    "line comments": lambda length: "SELECT " + "-- \n" * (length // 4 - 10_000),
    "a number": lambda length: "SELECT " + "1" * (length - 10_000),
}


@pytest.mark.parametrize("build", LONGEST.values(), ids=LONGEST)
@pytest.mark.parametrize("part", [20, pytest.param(1, marks=pytest.mark.matrix)], ids=["a twentieth", "whole"])
def test_the_longest_query_is_checked_in_linear_time(build: Callable[[int], str], part: int) -> None:
    query = build(1_000_000 // part)
    begun = time.thread_time()
    try:
        check_query(query, field="input.query")
    except Rejected as rejection:
        assert len(rejection.problem.message) < 1_000
    # Twenty times of what it takes: only a time that grows faster than the text comes near.
    assert time.thread_time() - begun < 20 / part


def _tables(*names: str) -> Names:
    return Names((), tuple(tuple(name.split(".")) for name in names), ())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1", Names((), (), ())),
        ("SELECT t.a, t.b FROM d.t AS t WHERE t.a > 1", Names((), (("d", "t"),), ())),
        ("SELECT * FROM `p.d.t`, d.u JOIN d.v ON u.x = v.x, d.w", _tables("p.d.t", "d.u", "d.v", "d.w")),
        ("SELECT * FROM my-project.d.t", Names((), (("my-project", "d", "t"),), ())),
        ("SELECT * FROM (d.t CROSS JOIN (d.u))", Names((), (("d", "t"), ("d", "u")), ())),
        ("SELECT (SELECT MAX(a) FROM d.t), b.c FROM x", Names((), (("d", "t"),), ())),
        ("FROM d.t |> JOIN d.u USING (a) |> WHERE t.a > 1", Names((), (("d", "t"), ("d", "u")), ())),
        ("SELECT d.f(1), SAFE.d.g(t.a), UPPER(t.a) FROM d.h()", Names((), (), (("d", "f"), ("d", "g"), ("d", "h")))),
        ("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)", Names((("d", "m"),), (("d", "t"),), ())),
        ("SELECT model, 'FROM d.t' FROM x -- FROM d.u", Names((), (), ())),
    ],
)  # fmt: skip
def test_the_names_in_a_query_are_found(query: str, expected: Names) -> None:
    assert names_in(query, field="input.query") == expected


@pytest.mark.parametrize("build", LONGEST.values(), ids=LONGEST)
def test_the_names_in_the_longest_query_are_found_in_linear_time(build: Callable[[int], str]) -> None:
    begun = time.thread_time()
    try:
        names_in(build(100_000), field="input.query")
    except Rejected as rejection:
        assert len(rejection.problem.message) < 1_000
    assert time.thread_time() - begun < 3
