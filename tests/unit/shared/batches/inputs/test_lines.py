"""The check of JSONL: every rule with file and line, files as a whole, and bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from shared.batches.inputs import lines
from shared.batches.inputs.lines import LinesFile, check_lines
from shared.batches.inputs.rules import MOST_FILE_BYTES, InputCheck, Requests


def as_file(text: bytes | str, uri: str = "gs://b/in.jsonl", *, compressed: bool = False) -> LinesFile:
    data = text.encode() if isinstance(text, str) else text
    return LinesFile(uri, len(data), compressed, lambda offset, size: data[offset : offset + size])


def asking(text: str | None = "hello", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def _naming(**file: Any) -> dict[str, Any]:
    return {"contents": {"role": "user", "parts": [{"text": "x"}, {"file_data": file}]}}


def _check(*requests: Any, kind: Requests = Requests.GENERATE) -> InputCheck:
    return check_lines([as_file("".join(json.dumps({"request": request}) + "\n" for request in requests))], kind)


GOOD: list[dict[str, Any]] = [
    asking(),
    asking(systemInstruction={"parts": {"text": "Be kind"}}, generation_config={"top_p": 0.5}),
    {"contents": {"role": "model", "parts": {"text": "x"}}, "labels": {"row": "7"}},
    _naming(file_uri="gs://b/a.png", mime_type="image/png"),
    _naming(fileUri="https://www.youtube.com/watch?v=x", mimeType="video/mp4"),
    {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "eA==", "mimeType": "image/png"}}]}]},
    asking(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]),
]
WRONG: dict[str, list[Any]] = {
    "no_request": [None, "x", []],
    "unknown_field": [asking(nope=1), asking(temperature=1), asking(tools=[{"cachedContent": "c"}])],
    "cached_content": [asking(cachedContent="c"), asking(cached_content="c")],
    "no_contents": [{}, {"contents": []}, {"contents": "hi"}],
    "wrong_role": [
        {"contents": [{"parts": [{"text": "a"}]}]},
        {"contents": {"role": "system", "parts": {"text": "a"}}},
        {"contents": ["hi"]},
    ],
    "no_parts": [{"contents": [{"role": "user"}]}, {"contents": [{"role": "user", "parts": []}]}],
    "several_data": [
        {"contents": {"role": "user", "parts": {"text": "x", "fileData": {"fileUri": "gs://b/a", "mimeType": "x/y"}}}}
    ],
    "empty_instruction": [
        asking(systemInstruction={"parts": []}),
        asking(systemInstruction={}),
        asking(system_instruction={"parts": [{"text": ""}]}),
    ],
    "retrieval": [asking(tools=[{"retrieval": {"vertexRagStore": {}}}])],
    "empty_part": [asking(""), asking(None), {"contents": {"role": "user", "parts": {"thought": True}}}],
    "wrong_uri": [
        _naming(fileUri="https://a.b/c.png", mimeType="image/png"),
        _naming(fileUri="gs://b", mimeType="x/y"),
    ],
    "no_mime_type": [_naming(fileUri="gs://b/a"), _naming(fileUri="gs://b/a", mimeType="")],
    "wrong_inline_data": [
        {"contents": {"role": "user", "parts": {"inlineData": {"mimeType": "image/png"}}}},
        {"contents": {"role": "user", "parts": {"inline_data": {"data": "aGk="}}}},
        {"contents": {"role": "user", "parts": {"inlineData": {"mime_type": "image/png", "data": "@@"}}}},
    ],
    "unknown_config_field": [asking(generationConfig={"max_tokens": 5})],
    "wrong_type": [asking(generationConfig={"seed": "x"})],
    "wrong_enum": [asking(safetySettings=[{"category": "HARM_CATEGORY_NONSENSE"}])],
    "out_of_range": [asking(generationConfig={"temperature": 3})],
    "missing_field": [asking(generationConfig={"responseSchema": {"type": "STRING"}})],
    "invalid_field": [asking(generationConfig={"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}})],
}


def test_good_requests_are_counted() -> None:
    found = _check(*GOOD)
    assert found.findings == ()
    assert (found.requests, found.characters, found.files) == (7, 5 + 12 + 1 + 1 + 1 + 0 + 5, 2)
    assert found.problem("input") is None


@pytest.mark.parametrize(("rule", "request_"), [(rule, each) for rule, several in WRONG.items() for each in several])
def test_a_request_that_breaks_a_rule_is_found_by_its_line(rule: str, request_: Any) -> None:
    [finding] = _check(asking(), request_).findings
    assert (finding.rule, finding.count, finding.places) == (rule, 1, ("gs://b/in.jsonl line 2",))


def test_lines_that_are_no_requests_are_found() -> None:
    text = '{"request": \n[1]\n\n{"contents": []}\n' + "[" * 100_000 + "\nNaN\n"
    found = check_lines([as_file(text)])
    assert {finding.rule: finding.places for finding in found.findings} == {
        "not_json": ("gs://b/in.jsonl line 1", "gs://b/in.jsonl line 5", "gs://b/in.jsonl line 6"),
        "not_an_object": ("gs://b/in.jsonl line 2",),
        "no_request": ("gs://b/in.jsonl line 4",),
    }
    assert found.requests == 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_a_file_that_is_not_plain_utf_8_is_refused(encoding: str) -> None:
    line = json.dumps({"request": asking("caf\xe9")}, ensure_ascii=False)
    [finding] = check_lines([as_file(line.encode(encoding))]).findings
    if encoding in {"utf-16-le", "latin-1"}:
        assert finding.rule == "not_json"
        assert encoding == "utf-16-le" or finding.hint == "the text is not UTF-8"
    else:
        assert (finding.rule, finding.subject, finding.places) == ("byte_order_mark", "files", ("gs://b/in.jsonl",))


@pytest.mark.parametrize(
    ("line", "rule", "hint"),
    [
        ('{"request": {}, "request": {}}', "repeated_field", ""),
        ('{"request": {"contents": [{"role": "user", "role": "user", "parts": []}]}}', "repeated_field", ""),
        ('{"request": {}, "id": "\\ud800"}', "not_json", "it has half of a surrogate pair"),
        ('{"request": {}, "id": 1e999}', "no_contents", ""),
    ],
)
def test_json_that_the_parser_of_google_refuses_is_found(line: str, rule: str, hint: str) -> None:
    [finding] = check_lines([as_file(line)]).findings
    assert (finding.rule, finding.hint) == (rule, hint)
    good = json.dumps({"request": asking("\U0001f600")})
    assert check_lines([as_file(good)]).findings == ()


def test_a_problem_quotes_nothing_of_a_request() -> None:
    found = _check(*(asking("", **{f"secret{n}": "secret"}) for n in range(7)), asking("secret", cachedContent="x"))
    problem = found.problem("input")
    assert problem is not None
    assert (problem.code, problem.field) == ("unknown_field", "input")
    assert "secret" not in problem.message
    assert problem.message.startswith("7 of 8 requests have a field that does not exist")
    assert "gs://b/in.jsonl line 5, ..." in problem.message


def _fields(*fields: dict[str, Any], key: tuple[str, ...] = ()) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return what the check finds in lines that have these fields beside their requests."""
    lines_ = "\n".join(json.dumps({"request": asking(), **each}) for each in fields)
    found = check_lines([as_file(lines_)], key=key)
    return [
        (finding.rule, finding.hint, tuple(place.split()[-1] for place in finding.places)) for finding in found.findings
    ]


def test_fields_that_cannot_be_columns_of_the_answers_are_found() -> None:
    assert _fields({"id": 1}, {"Status": "x"}) == [("reserved_field", "status", ("2",))]
    assert _fields({"id": 1}, {"id": 2}, {"ID": 3}) == [("other_case", "", ("3",))]


@pytest.mark.parametrize(
    ("field", "rule", "hint"),
    [
        ({"a.b": 1}, "wrong_field_name", "'a.b'"),
        ({"": 1}, "wrong_field_name", "''"),
        ({"_PARTITIONTIME": 1}, "wrong_field_name", "'_PARTITIONTIME'"),
        ({"n" * 301: 1}, "wrong_field_name", repr("n" * 80)),
        ({"meta": {"list": [1, {"in (brackets)": 1}]}}, "wrong_field_name", "'meta.list.in (brackets)'"),
        ({"meta": {}}, "empty_object", "meta"),
        ({"meta": [{"inner": {}}]}, "empty_object", "meta.inner"),
    ],
)
def test_fields_that_bigquery_does_not_load_are_found_if_the_answers_are_in_a_table(
    field: dict[str, Any], rule: str, hint: str
) -> None:
    request = asking(generationConfig={})
    given = "\n".join(json.dumps({"request": request, **each}) for each in ({"größe": [1, {"a b": []}]}, field))
    found = check_lines([as_file(given)], as_columns=True)
    [finding] = found.findings
    assert (finding.rule, finding.hint, finding.places) == (rule, hint, ("gs://b/in.jsonl line 2",))
    assert check_lines([as_file(given)]).findings == ()


def test_a_key_that_is_repeated_is_found_with_all_of_its_lines() -> None:
    keys: list[dict[str, Any]] = [{"id": 1, "n": "a"}, {"id": 1, "n": "b"}, {"n": "a", "id": 1}, {"id": 1, "n": "a"}]
    assert _fields(*keys, key=("n", "id")) == [("repeated_key", "n, id", ("1", "3", "4"))]
    assert _fields(*keys[:2], key=("n", "id")) == []
    problem = check_lines(
        [as_file(2 * (json.dumps({"request": asking(), "id": "secret"}) + "\n"))], key=["id"]
    ).problem("input")
    assert problem is not None
    assert (problem.code, problem.field) == ("repeated_key", "output.key")
    assert "2 of 2 requests have the same key as another request (id)" in problem.message
    assert "secret" not in problem.message


@pytest.mark.parametrize("value", [1.5, [1], {"a": 1}, "1"])
def test_a_key_by_which_bigquery_finds_no_row_is_found(value: Any) -> None:
    assert _fields({"id": 2}, {"id": value}, key=("id",)) == [("key_type", "id", ("2",))]


def test_files_are_checked_as_far_as_they_are_read() -> None:
    line = json.dumps({"request": asking()}) + "\n"
    bad = json.dumps({"request": {}}) + "\n"
    files = [as_file(line * 2 + bad, "gs://b/1"), as_file(bad, "gs://b/2")]
    assert [finding.places for finding in check_lines(files).findings] == [("gs://b/1 line 3", "gs://b/2 line 1")]
    [finding] = check_lines(files, most_bytes=files[0].size or 0).findings
    assert finding.places == ("gs://b/1 line 3",)


def test_only_whole_lines_of_the_part_that_is_read_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 7)
    line = json.dumps({"request": asking()}) + "\n"
    found = check_lines([as_file(line * 3)], most_bytes=1.5 * len(line))
    assert (found.requests, found.findings) == (1, ())


def test_a_line_without_a_field_of_the_key_is_found() -> None:
    lines_ = [{"request": asking(), **more} for more in ({"id": 1}, {"id": None}, {}, {"id": 0})]
    text = "\n".join(map(json.dumps, lines_))
    [finding] = check_lines([as_file(text)], key=("ID",)).findings
    assert (finding.rule, finding.hint) == ("no_key", "ID")
    assert finding.places == ("gs://b/in.jsonl line 2", "gs://b/in.jsonl line 3")
    assert check_lines([as_file(text)]).findings == ()


def test_whole_files_are_refused_by_name() -> None:
    gone = LinesFile("gs://b/gone", None, False, lambda offset, size: b"")
    large = LinesFile("gs://b/large", MOST_FILE_BYTES + 1, False, lambda offset, size: b"{"[:size])
    files = [gone, large, as_file(b"\x1f\x8b\x08", "gs://b/zip"), as_file("{}", "gs://b/coded", compressed=True)]
    found = check_lines(files)
    assert {(finding.rule, finding.subject, finding.places) for finding in found.findings} == {
        ("no_such_file", "files", ("gs://b/gone",)),
        ("too_large", "files", ("gs://b/large",)),
        ("compressed", "files", ("gs://b/zip", "gs://b/coded")),
    }
    problem = found.problem("input")
    assert problem is not None
    assert "1 of 4 files do not exist" in problem.message


@pytest.mark.parametrize("files", [[], [as_file("")], [as_file("\n \n")]])
def test_an_input_without_requests_is_refused(files: list[LinesFile]) -> None:
    found = check_lines(files)
    [finding] = found.findings
    assert finding.rule == "no_requests"
    problem = found.problem("input")
    assert problem is not None
    assert problem.message.endswith("new-job-from-cloud-storage" if files else "new-job-from-bigquery")
    assert ("gs://b/in.jsonl" in problem.message) is bool(files)


def test_requests_of_all_files_are_counted() -> None:
    line = json.dumps({"request": asking()})
    found = check_lines([as_file(f"{line}\r\n{line}"), as_file(line + "\n")])
    assert (found.requests, found.findings) == (3, ())


def test_more_requests_than_a_job_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lines.LIMITS, Requests.GENERATE, 2)
    line = json.dumps({"request": asking()}) + "\n"
    assert check_lines([as_file(line), as_file(line)]).findings == ()
    [finding] = check_lines([as_file(line, "gs://b/1"), as_file(line * 2, "gs://b/2")]).findings
    assert (finding.rule, finding.places) == ("too_many_requests", ("gs://b/1", "gs://b/2"))


def test_the_most_tokens_of_all_answers_are_known_if_each_request_limits_them() -> None:
    limited = [asking(generationConfig={"maxOutputTokens": 10}), asking(generation_config={"max_output_tokens": "5"})]
    assert _check(*limited).answer_tokens == 15
    assert _check(*limited, asking()).answer_tokens is None


@pytest.mark.parametrize(
    ("line", "kind", "rule"),
    [
        ({"request": {"content": {"parts": [{"text": "a"}]}}, "key": "1"}, Requests.EMBED, None),
        ({"request": {"content": {"parts": [{"text": ""}]}}}, Requests.EMBED, "no_content"),
        ({"content": "a"}, Requests.EMBED, "no_request"),
        ({"content": "a"}, Requests.TEXT_EMBEDDING, None),
        ({"content": ""}, Requests.TEXT_EMBEDDING, "no_content"),
        ({"request": asking()}, Requests.TEXT_EMBEDDING, "no_content"),
    ],
)
def test_requests_for_embeddings_have_rules_of_their_own(line: Any, kind: Requests, rule: str | None) -> None:
    findings = check_lines([as_file(json.dumps(line))], kind).findings
    assert [finding.rule for finding in findings] == ([rule] if rule else [])


def test_lines_are_whole_however_the_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 7)
    assert _check(*GOOD).findings == ()


def test_a_line_that_is_too_long_is_counted_and_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1000)
    good = json.dumps({"request": asking()}).encode() + b"\n"
    file = as_file(good + b"x" * 4_000_000 + b"\n" + good)
    tracemalloc.start()
    found = check_lines([file])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.requests, found.findings) == (3, ())
    assert peak < 1_000_000
