"""Names in requests: an accepted text is one name and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.checks.identifiers import (
    DatasetName,
    ModelName,
    TableName,
    check_bucket,
    check_column,
    check_label,
    check_parameter,
    column_sql,
    is_drop_folder,
    parse_dataset,
    string_literal,
    unused_name,
)
from shared.errors import Rejected

PROJECT = "local-project"


def _table(text: str) -> TableName:
    return TableName.parse(text, project=PROJECT, field="output.table")


def _model(text: str) -> ModelName:
    return ModelName.parse(text, project=PROJECT, field="model")


def _new_model(text: str) -> ModelName:
    return ModelName.parse_new(text, project=PROJECT, field="target")


def _dataset(text: str) -> DatasetName:
    return parse_dataset(text, project=PROJECT, field="output")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("d.t", TableName(PROJECT, "d", "t")),
        ("other-project.d_1.t-2", TableName("other-project", "d_1", "t-2")),
        ("example.com:my-project.d.t", TableName("example.com:my-project", "d", "t")),
        ("d.t$20261120", TableName(PROJECT, "d", "t$20261120")),
        ("1.2", TableName(PROJECT, "1", "2")),
    ],
)
def test_a_table_name_is_parsed(text: str, name: TableName) -> None:
    assert _table(text) == name
    assert str(name).endswith(text)
    assert name.sql == f"`{name}`"
    assert name.dataset_name == DatasetName(name.project, name.dataset)


@pytest.mark.parametrize("text", ["d.m", "other-project.d.m_1", "d.gemini-vision", "d.all-MiniLM-L6-v2"])
def test_the_name_of_an_existing_model_is_parsed(text: str) -> None:
    assert str(_model(text)).endswith(text)
    assert _model(text).sql == f"`{_model(text)}`"


def test_a_new_model_may_not_have_a_hyphen() -> None:
    assert _new_model("d.m_1") == ModelName(PROJECT, "d", "m_1")
    with pytest.raises(Rejected, match="model name"):
        _new_model("d.m-1")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("d", DatasetName(PROJECT, "d")),
        ("p-12.d", DatasetName("p-12", "d")),
        ("a.b:p-12.d", DatasetName("a.b:p-12", "d")),
    ],
)
def test_a_dataset_name_is_parsed(text: str, name: DatasetName) -> None:
    assert _dataset(text) == name


# Texts that might break out of the backticks, or that hold characters which only look like letters.
BREAK_OUTS = (
    "`", "d.t`", "d.t` UNION ALL SELECT 1 --", "`d`.`t`", "d.t\\`", "d.t\\", "d.t'", 'd.t"', "d.t;", "d.t; DROP TABLE x",
    "d.t -- c", "d.t/**/", "d.t#", "d.t)", "(d.t", "d.t\n", "\nd.t", "d.t\r", "d.t\t", " d.t", "d.t ", "d. t", "d.t\0",
    "d.t\u2028", "d.t\u00a0", "d.t\u200b", "d.tа", "ｄ.t", "d.t１", "d.é", "d.t\u0301", "d.\U0001f600", "d.t\ud800",
    "d.t@x", "d.t?", "d.*", "d.t*", "d.%", "d.t$", "d.t$a-b", "d.t$a$b", "d.t$" + "1" * 21,
    "", ".", "..", "t", "d.", ".t", "d..t", "p-12.d.", "p-12..t", "a.b.c.d.e", "P.d.t", "p_1.d.t", "1p.d.t", "p-.d.t",
    "pro.d.t", "p" * 64 + ".d.t", ":p-12.d.t", "x:.d.t", "x:y:p-12.d.t", "INFORMATION_SCHEMA.TABLES.x",
    "d." + "t" * 1025, "d" * 1025 + ".t", "d.t" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("text", BREAK_OUTS)
@pytest.mark.parametrize("parse", [_table, _model, _new_model])
def test_a_text_that_is_not_a_name_is_rejected(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(Rejected) as rejection:
        parse(text)
    problem = rejection.value.problem
    assert problem.code == "invalid_name"
    assert problem.field in {"output.table", "model", "target"}
    assert len(problem.message) < 500


@pytest.mark.parametrize("text", ["", ".", "d.", "a-b", "P.d", "d`", "d\n", "p-12.d.t", "d d", "é", "d" * 1025])
def test_a_text_that_is_not_a_dataset_name_is_rejected(text: str) -> None:
    with pytest.raises(Rejected):
        _dataset(text)


@pytest.mark.parametrize("check", [check_column, check_parameter])
def test_names_of_columns_and_parameters_are_checked(check: Callable[[str, str], str]) -> None:
    for name in ("a", "_a", "A1_b", "SELECT", "x" * 128):
        assert check(name, "f") == name
    for name in ("", "1a", "a-b", "a b", "a.b", "a`", "`a`", "a\n", "é", "a'", "a,b", "a$", "x" * 301):
        with pytest.raises(Rejected) as rejection:
            check(name, "f")
        assert rejection.value.problem.field == "f"


def test_a_column_may_be_longer_than_a_parameter() -> None:
    assert check_column("x" * 300) == "x" * 300
    with pytest.raises(Rejected, match="parameter name"):
        check_parameter("x" * 129)


def test_names_of_buckets_are_checked() -> None:
    for name in ("abc", "a-b.c_d", "1bucket", "x" * 222):
        assert check_bucket(name) == name
    for name in ("", "ab", "-ab", "ab-", "Abc", "a b", "a/b", "a\n", "abc\n", "é" * 3, "x" * 223):
        with pytest.raises(Rejected, match="bucket name"):
            check_bucket(name)


@pytest.mark.parametrize(("key", "value"), [("a", ""), ("a1_-", "x-1_"), ("a" * 63, "1" * 63)])
def test_a_valid_label_passes(key: str, value: str) -> None:
    check_label(key, value, "labels")


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("", "x", "labels"),
        ("1a", "x", "labels"),
        ("A", "x", "labels"),
        ("a" * 64, "x", "labels"),
        ("a.b", "x", "labels"),
        ("a", "X", "labels.a"),
        ("a", "x" * 64, "labels.a"),
        ("a", "x y", "labels.a"),
        ("a", "x\n", "labels.a"),
    ],
)
def test_a_wrong_label_is_rejected_with_its_field(key: str, value: str, field: str) -> None:
    with pytest.raises(Rejected) as rejection:
        check_label(key, value, "labels")
    assert rejection.value.problem.field == field


@pytest.mark.parametrize(
    ("dataset", "model", "valid"),
    [
        ("d", "m", True),
        ("d_1", "2", True),
        ("d-1", "m", False),
        ("d", "m-1", False),
        ("d", "", False),
        ("d\n", "m", False),
    ],
)
def test_folders_of_a_drop_name_a_dataset_and_a_model(dataset: str, model: str, valid: bool) -> None:
    assert is_drop_folder(dataset, model) is valid


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("", "''"),
        ("plain", "'plain'"),
        ("it's", r"'it\'s'"),
        ("\\", r"'\\'"),
        ("\\'", r"'\\\''"),
        ("a\nb\r\tc", r"'a\nb\r\tc'"),
        ("\0\x1b", r"'\U00000000\U0000001b'"),
        ("\u2028\ufeff", r"'\U00002028\U0000feff'"),
        ("é\U0001f600", "'é\U0001f600'"),
        ('"', "'\"'"),
    ],
)
def test_a_text_becomes_a_string_literal(text: str, literal: str) -> None:
    assert string_literal(text) == literal


@pytest.mark.parametrize(("column", "sql"), [("a", "`a`"), ("a b", "`a b`"), ("a`b", r"`a\`b`"), ("a\\", r"`a\\`")])
def test_any_column_name_can_be_quoted(column: str, sql: str) -> None:
    assert column_sql(column) == sql


@given(st.text())
def test_a_quoted_text_ends_at_its_last_character(text: str) -> None:
    for quote, quoted in (("'", string_literal(text)), ("`", column_sql(text))):
        inner = quoted[1:-1].replace("\\\\", "")
        assert quoted[0] == quoted[-1] == quote
        assert quote not in inner.replace(f"\\{quote}", "")
        assert "\n" not in quoted and not inner.endswith("\\")


@pytest.mark.parametrize(
    ("taken", "name"),
    [((), "repeats"), (("other",), "repeats"), (("REPEATS",), "repeats_2"), (("repeats_2", "Repeats"), "repeats_3")],
)
def test_a_name_of_our_own_is_not_among_the_names_that_are_taken(taken: tuple[str, ...], name: str) -> None:
    assert unused_name("repeats", taken) == name


@pytest.mark.parametrize("text", ["`d.t`", "`p-project`.`d`.`t`", "bq://d.t", "my-project:d.t"])
def test_a_name_as_other_programs_write_it_is_rejected_with_the_right_one(text: str) -> None:
    with pytest.raises(Rejected) as rejection:
        TableName.parse(text, project="my-project", field="output.table")
    right = rejection.value.problem.message.rpartition("; write ")[2]
    assert TableName.parse(right, project="my-project").table == "t"
