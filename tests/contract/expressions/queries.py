"""Whole queries, over rows that they make themselves: joins, sets, groups, windows, pivots and pipes."""

from __future__ import annotations

_SALES = """
    (SELECT * FROM UNNEST([
        STRUCT('Kale' AS product, 51 AS amount, 'Q1' AS quarter, 2020 AS year),
        ('Kale', 23, 'Q2', 2020), ('Kale', 45, 'Q3', 2020), ('Kale', 70, 'Q1', 2021), ('Kale', NULL, 'Q2', 2021),
        ('Apple', 77, 'Q1', 2020), ('Apple', 0, 'Q2', 2020), ('Apple', 1, 'Q1', 2021), (NULL, 5, 'Q2', 2021)]))"""
_PEOPLE = """
    (SELECT * FROM UNNEST([
        STRUCT(1 AS id, 'Ann' AS name, 10 AS team, [1, 2] AS scores), (2, 'Bob', 20, []), (3, 'Cid', NULL, [3]),
        (4, 'ann', 10, [5, 5])]))"""
_TEAMS = "(SELECT * FROM UNNEST([STRUCT(10 AS team, 'red' AS colour), (20, 'blue'), (30, 'green')]))"

# Each query ends with an order of all its rows.
QUERIES = [
    query.format(sales=_SALES, people=_PEOPLE, teams=_TEAMS).strip()
    for query in (
        # Joins
        "SELECT p.name, t.colour FROM {people} AS p JOIN {teams} AS t ON p.team = t.team ORDER BY p.id",
        "SELECT p.name, t.colour FROM {people} AS p LEFT JOIN {teams} AS t USING (team) ORDER BY p.id",
        "SELECT p.name, t.colour FROM {people} AS p FULL JOIN {teams} AS t USING (team) ORDER BY p.id, t.colour",
        "SELECT * FROM {teams} AS a JOIN {people} AS b USING (team) ORDER BY team, id",
        "SELECT team, a.colour, b.colour AS c FROM {teams} AS a FULL JOIN {teams} AS b USING (team) ORDER BY team",
        "SELECT p.name, s FROM {people} AS p, p.scores AS s ORDER BY p.id, s",
        "SELECT p.name, s, o FROM {people} AS p LEFT JOIN UNNEST(p.scores) AS s WITH OFFSET AS o ORDER BY p.id, o",
        "SELECT p.name, s.* FROM {people} AS p, UNNEST([STRUCT(p.id AS x, 'a' AS y)]) AS s ORDER BY p.id",
        "SELECT name FROM {people} AS p WHERE EXISTS (SELECT 1 FROM {teams} AS t WHERE t.team = p.team) ORDER BY p.id",
        "SELECT name, (SELECT MAX(s) FROM p.scores AS s) AS best FROM {people} AS p ORDER BY id",
        "SELECT name, ARRAY(SELECT s + 1 FROM UNNEST(p.scores) AS s ORDER BY s) AS next FROM {people} AS p ORDER BY id",
        "SELECT name FROM {people} WHERE team NOT IN (SELECT team FROM {teams}) ORDER BY id",
        "SELECT name FROM {people} WHERE id IN (SELECT id FROM {people} WHERE id > 2) ORDER BY id",
        "SELECT a.team FROM {teams} AS a CROSS JOIN {teams} AS b WHERE a.team < b.team ORDER BY a.team, b.team",
        # Sets
        "SELECT 1 AS x UNION ALL SELECT 2.5 ORDER BY x",
        "SELECT 1 AS x UNION DISTINCT SELECT 1 ORDER BY x",
        "SELECT x FROM UNNEST([1, 1, 2]) AS x INTERSECT DISTINCT SELECT x FROM UNNEST([1, 3]) AS x ORDER BY x",
        "SELECT x FROM UNNEST([1, 1, 2]) AS x EXCEPT DISTINCT SELECT 2 ORDER BY x",
        "SELECT 1 AS a, 'x' AS b UNION ALL BY NAME SELECT 'y' AS b, 2 AS a ORDER BY a",
        "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b",
        "SELECT 1 AS a UNION ALL SELECT 'x'",
        "SELECT 1 AS a UNION ALL SELECT 2, 3",
        "(SELECT 3 AS x) UNION ALL (SELECT 1 UNION ALL SELECT 2) ORDER BY x LIMIT 2",
        "SELECT NULL AS x UNION ALL SELECT 'a' ORDER BY x",
        # Groups
        "SELECT product, SUM(amount) AS total FROM {sales} GROUP BY product ORDER BY product",
        "SELECT product, year, SUM(amount) FROM {sales} GROUP BY ROLLUP (product, year) ORDER BY product, year, 3",
        "SELECT product, year, COUNT(*) FROM {sales} GROUP BY CUBE (product, year) ORDER BY product, year, 3",
        "SELECT product, year, COUNT(*), GROUPING(year) AS g FROM {sales} "
        "GROUP BY GROUPING SETS (product, (product, year), ()) ORDER BY product, year, g, 3",
        "SELECT product, COUNT(*) AS n FROM {sales} GROUP BY ALL ORDER BY product",
        "SELECT year, COUNTIF(amount > 40) AS n FROM {sales} GROUP BY 1 HAVING n > 0 ORDER BY 1",
        "SELECT LOWER(name) AS k, COUNT(*) FROM {people} GROUP BY k ORDER BY k",
        "SELECT LOWER(name) AS team, COUNT(*) FROM {people} GROUP BY team ORDER BY team",
        "SELECT LOWER(name) AS name, COUNT(*) FROM {people} GROUP BY LOWER(name) ORDER BY name",
        "SELECT p.team, COUNT(*) FROM {people} AS p JOIN {teams} AS t USING (team) GROUP BY team ORDER BY team",
        "SELECT name AS x, team AS x FROM {people} ORDER BY x",
        "SELECT name AS x, team AS x FROM {people} GROUP BY x",
        "SELECT team, MAX(id) AS id FROM {people} GROUP BY team ORDER BY MAX(id)",
        "SELECT product FROM {sales} GROUP BY year",
        "SELECT SUM(amount) AS total FROM {sales} HAVING total > 5",
        "SELECT product, SUM(amount) FROM {sales}",
        "SELECT product FROM {sales} WHERE SUM(amount) > 1 GROUP BY product",
        "SELECT SUM(COUNT(*)) FROM {sales} GROUP BY product",
        "SELECT ARRAY_AGG(STRUCT(product, amount) ORDER BY amount, product LIMIT 2) AS s FROM {sales}",
        "SELECT STRING_AGG(DISTINCT quarter, '+' ORDER BY quarter) AS s FROM {sales}",
        "SELECT COUNT(DISTINCT product) AS n, COUNT(product) AS m FROM {sales}",
        "SELECT DISTINCT quarter FROM {sales} ORDER BY quarter",
        "SELECT COUNT(*) AS n FROM (SELECT DISTINCT scores FROM {people})",
        "SELECT ARRAY_LENGTH(scores) AS n FROM {people} GROUP BY scores ORDER BY n",
        # Windows
        "SELECT product, amount, SUM(amount) OVER (PARTITION BY product ORDER BY year, quarter) AS s FROM {sales} "
        "ORDER BY product, year, quarter",
        "SELECT amount, RANK() OVER (ORDER BY amount DESC) AS r FROM {sales} ORDER BY amount",
        "SELECT amount, RANK() OVER () AS r FROM {sales}",
        "SELECT amount, LAG(amount) OVER w AS l FROM {sales} WINDOW w AS (PARTITION BY product ORDER BY year, quarter) "
        "ORDER BY product, year, quarter",
        "SELECT product, amount FROM {sales} WHERE TRUE "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY product ORDER BY amount DESC) = 1 ORDER BY product",
        "SELECT amount, ROW_NUMBER() OVER (ORDER BY amount, product) AS r FROM {sales} WHERE TRUE QUALIFY r <= 2 ORDER BY r",
        "SELECT product FROM {sales} WHERE ROW_NUMBER() OVER (ORDER BY amount) = 1",
        "SELECT id, SUM(id) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS s FROM {people} ORDER BY id",
        "SELECT id, SUM(id) OVER (ORDER BY name RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM {people}",
        "SELECT id, COUNT(DISTINCT team) OVER () AS n FROM {people} ORDER BY id",
        "SELECT id, COUNT(DISTINCT team) OVER (ORDER BY id) AS n FROM {people} ORDER BY id",
        "SELECT id, ARRAY_AGG(name) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM {people} ORDER BY id",
        # Rows of the query
        "SELECT ARRAY(SELECT AS STRUCT 1 AS a, 'x' AS b) AS s",
        "SELECT s FROM (SELECT AS VALUE STRUCT(1 AS a, 'x' AS b)) AS s",
        "SELECT * EXCEPT (scores) FROM {people} ORDER BY id",
        "SELECT * EXCEPT (nothing) FROM {teams}",
        "SELECT * EXCEPT (team) FROM (SELECT a.*, b.team FROM {teams} AS a JOIN {teams} AS b USING (colour)) ORDER BY colour",
        "SELECT * REPLACE (team * 2 AS team) FROM {teams} ORDER BY team",
        "SELECT p.* EXCEPT (scores), t.colour FROM {people} AS p JOIN {teams} AS t ON t.team = p.team ORDER BY id",
        "SELECT id + 1, name || '!', 1 AS a, 2 FROM {people} ORDER BY id",
        "SELECT nam FROM {people}",
        "SELECT team FROM {people} AS p, {teams} AS t",
        "SELECT id FROM {people} ORDER BY 2",
        "SELECT id FROM {people} ORDER BY id LIMIT 2 OFFSET 1",
        "SELECT id FROM {people} ORDER BY id DESC LIMIT 0",
        "SELECT team FROM {people} ORDER BY team NULLS LAST, id",
        "SELECT team FROM {people} ORDER BY team DESC NULLS FIRST, id",
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 4) SELECT x FROM n ORDER BY x",
        "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT x, y FROM a, b",
        "WITH a AS (SELECT 1 AS x), A AS (SELECT 2 AS x) SELECT x FROM a",
        "SELECT x FROM (SELECT 1 AS x, 2 AS X)",
        "SELECT p.scores[OFFSET(0)] AS first FROM {people} AS p WHERE ARRAY_LENGTH(p.scores) > 0 ORDER BY id",
        "SELECT p.scores[SAFE_OFFSET(1)] AS second FROM {people} AS p ORDER BY id",
        "SELECT STRUCT(1 AS a, STRUCT('x' AS b) AS c).c.b AS v",
        "SELECT s.a FROM (SELECT STRUCT(1 AS a, 2 AS b) AS s)",
        "SELECT s.c FROM (SELECT STRUCT(1 AS a, 2 AS b) AS s)",
        "SELECT (1, 'x') = (1, 'x') AS same, (1, 2) IN ((1, 2), (3, 4)) AS found",
        "SELECT IF(TRUE, STRUCT(1 AS a), STRUCT(2 AS a)) AS s",
        # Pivots
        "SELECT * FROM (SELECT product, amount, quarter FROM {sales}) PIVOT (SUM(amount) FOR quarter IN ('Q1', 'Q2')) "
        "ORDER BY product",
        "SELECT * FROM (SELECT product, amount, quarter FROM {sales}) "
        "PIVOT (SUM(amount) AS s, COUNT(*) AS n FOR quarter IN ('Q1' AS one, 'Q2')) ORDER BY product",
        "SELECT * FROM (SELECT amount, year FROM {sales}) PIVOT (MAX(amount) AS m FOR year IN (2020, 2021))",
        "SELECT * FROM (SELECT 'Kale' AS p, 51 AS q1, 23 AS q2) UNPIVOT (amount FOR quarter IN (q1, q2)) ORDER BY quarter",
        "SELECT * FROM (SELECT 1 AS a, NULL AS b) UNPIVOT INCLUDE NULLS (v FOR k IN (a AS 'x', b AS 'y')) ORDER BY k",
        "SELECT * FROM (SELECT 1 AS a, 2 AS b, 3 AS c, 4 AS d) UNPIVOT ((v, w) FOR k IN ((a, b) AS 1, (c, d) AS 2)) ORDER BY k",
        # Pipes
        "FROM {people} |> WHERE id > 1 |> SELECT id, name |> ORDER BY id",
        "FROM {sales} |> AGGREGATE SUM(amount) AS total, COUNT(*) AS n GROUP BY product |> ORDER BY product",
        "FROM {sales} |> AGGREGATE SUM(amount) AS total GROUP AND ORDER BY product, year DESC",
        "FROM {people} |> EXTEND id * 2 AS double |> DROP scores |> RENAME name AS who |> ORDER BY id",
        "FROM {people} |> SET team = IFNULL(team, 0) |> SELECT id, team |> ORDER BY id",
        "FROM {people} |> AS p |> JOIN {teams} AS t ON p.team = t.team |> SELECT p.name, t.colour |> ORDER BY name, colour",
        "FROM {people} |> SELECT id |> UNION ALL (SELECT 99) |> ORDER BY id |> LIMIT 3",
        "FROM {people} |> SELECT DISTINCT team |> ORDER BY team",
        "SELECT 1 AS x |> EXTEND x + 1 AS y |> EXTEND x + y AS z",
        "FROM {people} |> EXTEND ROW_NUMBER() OVER (ORDER BY id DESC) AS r |> SELECT id, r |> ORDER BY id",
        "FROM {sales} |> SELECT product, amount, quarter |> PIVOT (SUM(amount) FOR quarter IN ('Q1', 'Q2')) "
        "|> ORDER BY product",
        "FROM {people} |> WHERE nothing = 1",
        # Types and nulls
        "SELECT * FROM UNNEST([1, NULL, 3]) AS x WHERE x IS NOT NULL ORDER BY x",
        "SELECT x FROM UNNEST([1.5, CAST('nan' AS FLOAT64), CAST('-inf' AS FLOAT64), NULL]) AS x ORDER BY x",
        "SELECT x FROM UNNEST(['b', 'A', 'a', NULL, 'é']) AS x ORDER BY x",
        "SELECT x, o FROM UNNEST(['a', 'b']) AS x WITH OFFSET o ORDER BY o",
        "SELECT 1 WHERE FALSE",
        "SELECT IF(1, 2, 3)",
        "SELECT 1 FROM UNNEST([1]) AS x WHERE x",
        "SELECT 1 + 'a'",
        "SELECT CASE WHEN TRUE THEN 1 ELSE 'a' END",
        "SELECT COUNT(*) FROM {people} WHERE name = 1",
        "SELECT NOSUCH(1)",
        "SELECT ABS()",
        "SELECT ABS('a')",
        "SELECT DATE_ADD('x', INTERVAL 1 DAY)",
        "SELECT SUM(name) FROM {people}",
    )
]
