"""The check of JSONL: every rule with file and line, files as a whole, and bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from shared.batches.inputs import lines
from shared.batches.inputs.lines import LinesFile, check_lines
from shared.batches.inputs.rules import MOST_FILE_BYTES, InputCheck, Requests


def _file(text: bytes | str, uri: str = "gs://b/in.jsonl", *, compressed: bool = False) -> LinesFile:
    data = text.encode() if isinstance(text, str) else text
    return LinesFile(uri, len(data), compressed, lambda offset, size: data[offset : offset + size])


def asking(text: str | None = "hello", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def _naming(**file: Any) -> dict[str, Any]:
    return {"contents": {"role": "user", "parts": [{"text": "x"}, {"file_data": file}]}}


def _check(*requests: Any, kind: Requests = Requests.GENERATE) -> InputCheck:
    return check_lines([_file("".join(json.dumps({"request": request}) + "\n" for request in requests))], kind)


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
    "empty_part": [asking(""), asking(None), {"contents": {"role": "user", "parts": {"thought": True}}}],
    "wrong_uri": [
        _naming(fileUri="https://a.b/c.png", mimeType="image/png"),
        _naming(fileUri="gs://b", mimeType="x/y"),
    ],
    "no_mime_type": [_naming(fileUri="gs://b/a"), _naming(fileUri="gs://b/a", mimeType="")],
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
    found = check_lines([_file(text)])
    assert {finding.rule: finding.places for finding in found.findings} == {
        "not_json": ("gs://b/in.jsonl line 1", "gs://b/in.jsonl line 5", "gs://b/in.jsonl line 6"),
        "not_an_object": ("gs://b/in.jsonl line 2",),
        "no_request": ("gs://b/in.jsonl line 4",),
    }
    assert found.requests == 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_line_that_is_not_utf_8_is_not_json(encoding: str) -> None:
    line = json.dumps({"request": asking("caf\xe9")}, ensure_ascii=False)
    found = check_lines([_file(line.encode(encoding))])
    assert [finding.rule for finding in found.findings] == ["not_json"]
    problem = found.problem("input")
    assert problem is not None
    assert encoding == "utf-16-le" or "the text is not UTF-8" in problem.message


def test_a_problem_quotes_nothing_of_a_request() -> None:
    found = _check(*(asking("", **{f"secret{n}": "secret"}) for n in range(7)), asking("secret", cachedContent="x"))
    problem = found.problem("input")
    assert problem is not None
    assert (problem.code, problem.field) == ("unknown_field", "input")
    assert "secret" not in problem.message
    assert problem.message.startswith("7 of 8 requests have a field that does not exist")
    assert "gs://b/in.jsonl line 5, ..." in problem.message


def test_a_line_without_a_field_of_the_key_is_found() -> None:
    lines_ = [{"request": asking(), **more} for more in ({"ID": 1}, {"id": None}, {}, {"id": 0})]
    text = "\n".join(map(json.dumps, lines_))
    [finding] = check_lines([_file(text)], key=("id",)).findings
    assert (finding.rule, finding.hint) == ("no_key", "id")
    assert finding.places == ("gs://b/in.jsonl line 2", "gs://b/in.jsonl line 3")
    assert check_lines([_file(text)]).findings == ()


def test_whole_files_are_refused_by_name() -> None:
    gone = LinesFile("gs://b/gone", None, False, lambda offset, size: b"")
    large = LinesFile("gs://b/large", MOST_FILE_BYTES + 1, False, lambda offset, size: b"{"[:size])
    files = [gone, large, _file(b"\x1f\x8b\x08", "gs://b/zip"), _file("{}", "gs://b/coded", compressed=True)]
    found = check_lines(files)
    assert {(finding.rule, finding.subject, finding.places) for finding in found.findings} == {
        ("no_such_file", "files", ("gs://b/gone",)),
        ("too_large", "files", ("gs://b/large",)),
        ("compressed", "files", ("gs://b/zip", "gs://b/coded")),
    }
    problem = found.problem("input")
    assert problem is not None
    assert "1 of 4 files do not exist" in problem.message


@pytest.mark.parametrize("files", [[], [_file("")], [_file("\n \n")]])
def test_an_input_without_requests_is_refused(files: list[LinesFile]) -> None:
    [finding] = check_lines(files).findings
    assert finding.rule == "no_requests"


def test_requests_of_all_files_are_counted() -> None:
    line = json.dumps({"request": asking()})
    found = check_lines([_file(f"\ufeff{line}\r\n{line}"), _file(line + "\n")])
    assert (found.requests, found.findings) == (3, ())


def test_more_requests_than_a_job_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lines.LIMITS, Requests.GENERATE, 2)
    line = json.dumps({"request": asking()}) + "\n"
    assert check_lines([_file(line), _file(line)]).findings == ()
    [finding] = check_lines([_file(line, "gs://b/1"), _file(line * 2, "gs://b/2")]).findings
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
    findings = check_lines([_file(json.dumps(line))], kind).findings
    assert [finding.rule for finding in findings] == ([rule] if rule else [])


def test_lines_are_whole_however_the_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 7)
    assert _check(*GOOD).findings == ()


def test_a_line_that_is_too_long_is_counted_and_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1000)
    good = json.dumps({"request": asking()}).encode() + b"\n"
    file = _file(good + b"x" * 4_000_000 + b"\n" + good)
    tracemalloc.start()
    found = check_lines([file])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.requests, found.findings) == (3, ())
    assert peak < 1_000_000
