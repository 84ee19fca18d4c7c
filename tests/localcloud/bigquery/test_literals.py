r"""Escape sequences of GoogleSQL: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences"""

from __future__ import annotations

import json
import random

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from shared.batches.request import Prompts
from shared.batches.statements import batch_requests
from shared.checks.identifiers import string_literal
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

AWKWARD = ["'", '"', "`", "\\", "\n", "\r", "\t", "\0", "--", "/*", "#", ";", "x41", "u0041", "n", "?", "@p", "\u2028"]
AWKWARD += ["\u200b", "é", "\U0001f600", "\x01", "$$", "{"]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"'\`\'\"\?\\'", "`'\"?\\"),
        (r'"\`\'\"\?\\"', "`'\"?\\"),
        (r"""'''it\'s "a" 'b' \`'''""", "it's \"a\" 'b' `"),
        (r'''"""it\'s \""a" \`"""''', 'it\'s ""a" `'),
        (r"'\a\b\f\n\r\t\v'", "\a\b\f\n\r\t\v"),
        (r"'\x41\X4a\101\u00e9\U0001F600\U00002028'", "AJAé\U0001f600\u2028"),
        (r"'\\x41\\u0041\\`'", r"\x41\u0041\`"),
        (r"'a\x00b'", "a\0b"),
        (r"r'\`\x41\d'", r"\`\x41\d"),
        (r'R"\?"', r"\?"),
        (r"b'\x41\377\n\\\''", b"A\xff\n\\'"),
        (r'B"""a\"b"""', b'a"b'),
        ("b'é'", "é".encode()),
        ("[.5, 5., -.25e1, 5.*2, 1.5]", [0.5, 5.0, -2.5, 10.0, 1.5]),
        (r"rb'\x41'", rb"\x41"),
        (r"bR'\d'", rb"\d"),
    ],
)
def test_a_literal_has_the_value_of_its_escapes(world: BigQueryWorld, literal: str, value: object) -> None:
    assert world.rows(f"SELECT {literal}") == [(value,)]


def test_a_written_literal_has_the_value_of_its_text(world: BigQueryWorld) -> None:
    chance = random.Random(5)
    texts = ["".join(chance.choices(AWKWARD, k=chance.randrange(1, 6))) for _ in range(160)]
    for start in range(0, len(texts), 20):
        some = texts[start : start + 20]
        columns = ", ".join(f"{string_literal(text)} AS c{number}" for number, text in enumerate(some))
        assert world.rows(f"SELECT {columns}") == [tuple(some)]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "literal",
    [r"'\d'", r'"\x4"', r"'\400'", r"'\18'", r"'\ud800'", r"'\U00110000'", r"b'\u0041'", r"'''\q'''", r"'a\ b'"],
)
def test_an_invalid_escape_is_rejected(world: BigQueryWorld, literal: str, dry_run: bool) -> None:
    with pytest.raises(exceptions.BadRequest, match="Illegal escape sequence: ") as failed:
        world.client().query(f"SELECT {literal}", job_config=bigquery.QueryJobConfig(dry_run=dry_run)).result()
    assert failed.value.errors[0]["reason"] == "invalidQuery"


def test_backslashes_in_comments_are_not_escapes(world: BigQueryWorld) -> None:
    assert world.rows("SELECT 1 -- it's \\d\n, 2 /* '\\q */ # \\z\n, `a`.x FROM (SELECT 3 AS x) AS `a`") == [(1, 2, 3)]


def test_escapes_work_in_quoted_names(world: BigQueryWorld) -> None:
    (row,) = world.client().query_and_wait(r"SELECT 1 AS `a\u00e9\x41`")
    assert dict(row) == {"aéA": 1}


def test_escapes_work_in_scripts_and_dynamic_sql(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    script = rf"""
        DECLARE one STRING DEFAULT '\`\x41';
        EXECUTE IMMEDIATE 'CREATE TABLE {dataset}.made AS SELECT \'\\\\x41 \\u0042 \\`\' AS text';
        SELECT one, text FROM {dataset}.made"""
    assert world.rows(script) == [("`A", r"\x41 B `")]


def test_escapes_work_in_views_functions_and_options(world: BigQueryWorld) -> None:
    dataset, client = world.dataset(), world.client()
    world.rows(rf"CREATE VIEW {dataset}.by_statement AS SELECT '\`\x41' AS text")
    view = bigquery.Table(f"{PROJECT}.{dataset}.by_method")
    view.view_query = r"SELECT '\`\x42' AS text"
    client.create_table(view)
    world.rows(rf"CREATE FUNCTION {dataset}.ticked() AS ('\`\x43')")
    world.rows(rf"CREATE TABLE {dataset}.described (x INT64) OPTIONS (description = 'a \`tick\` it\'s\u2028')")

    assert world.rows(
        f"SELECT a.text AS a, b.text AS b, {dataset}.ticked() FROM {dataset}.by_statement a, {dataset}.by_method b"
    ) == [("`A", "`B", "`C")]
    assert client.get_table(f"{dataset}.described").description == "a `tick` it's\u2028"


def test_a_batch_request_keeps_special_characters_of_the_instruction(world: BigQueryWorld) -> None:
    instruction = 'Use `code` please, it\'s "x" \\ \n zero\u200bwidth \u2028 \U0001f600 \\n \\`'
    prompts = Prompts("SELECT 1 AS id, 'hi' AS prompt", instruction, '{"stopSequences": ["```"]}')
    ((number, request),) = world.rows(batch_requests(prompts, ["id", "prompt"]))
    assert number == 1
    assert json.loads(request) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": instruction}]},
        "generationConfig": {"stopSequences": ["```"]},
    }
