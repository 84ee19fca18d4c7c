"""The data of messages: a JSON object is returned, anything else is rejected with what it is."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from shared.errors import LONGEST_REASON, Rejected
from shared.events.payloads import DEEPEST_JSON, json_object

REQUEST = b'{"model": "d.m", "input": {"table": "d.t"}}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 1.5, true, null, "\\u00e9"]} ', {"a": [1, 1.5, True, None, "é"]}),
        ('{"é": "\U0001f600"}'.encode(), {"é": "\U0001f600"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
    ],
)
def test_a_json_object_is_returned(text: bytes, value: dict[str, Any]) -> None:
    assert json_object(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{'a': 1}", "double quotes"),
        (b'{"a": 1} {"b": 2}', "is not JSON"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": -1e999}', "-1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON: a number in it has more than 4,300 digits"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": 1, "b": 2, "a": 1}', "has the field a twice"),
        (b'{"labels": {"team": "x", "team": "y"}}', "has the field team twice"),
        (b'{"\\udfff": 1, "\\udfff": 1}', "twice"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"{}"', "must be a JSON object"),
        (b"7", "must be a JSON object"),
        (b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}", "nested more than 50 deep"),
        (b'{"a": ' * 60 + b"1" + b"}" * 60, "nested more than 50 deep"),
        (b"[" * 1_000_000, "nested more than 50 deep"),
    ],
)
def test_data_that_is_not_a_json_object_is_rejected(text: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message) as rejection:
        json_object(text)
    assert rejection.value.problem.code == "invalid_json"
    assert len(rejection.value.problem.message) <= LONGEST_REASON + 50


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_the_deepest_json_can_be_written_again(opening: str, closing: str) -> None:
    depth = DEEPEST_JSON
    text = '{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}"
    assert json.dumps(json_object(text.encode()), separators=(",", ":")) == text


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b" ", "it is empty. Put the request into the data of the message, as a JSON object; attributes are not read"),
        (base64.b64encode(REQUEST), "it is JSON that is encoded as base64 once more"),
        (base64.urlsafe_b64encode(b'{"a": "??>>"}'), "it is JSON that is encoded as base64 once more"),
        (json.dumps(base64.b64encode(REQUEST).decode()).encode(), "not a string that holds one as base64"),
        (json.dumps(REQUEST.decode()).encode(), "not a string that holds one: it was encoded as JSON twice"),
        (b'"d.m"', "must be a JSON object, not the string 'd.m'"),
        (b"d.m", "it is the text 'd.m'; send a JSON object"),
        (b"[" + REQUEST + b"]", "not a list that holds one: remove the square brackets"),
        (b"[" + REQUEST + b"," + REQUEST + b"]", "not a list of 2: publish one message for each request"),
        (b"[]", "not a list of 0"),
        (b"null", "not null"),
        (b"true", "not true or false"),
        (b"1.5", "not a number"),
        (str(json.loads(REQUEST)).encode(), "it has single quotes, and JSON has double quotes"),
        (b'{model: "d.m"}', "its names have no quotes"),
        (b"model: d.m\ninput: x", "it begins with 'model: d.m\\\\ninput: x', which looks like YAML"),
        (b"select 1 AS x", "it is a query. Put it into an object"),
        (gzip.compress(REQUEST, mtime=0), "it is compressed with gzip"),
        (b"\xff\xfe\xfd", "it is not text in UTF-8"),
        (REQUEST[:-1], "Expecting ',' delimiter: line 1 column"),
        (b'{"message": {"data": "e30="}, "subscription": "s"}', "holds an envelope of Pub/Sub"),
        (b'{"messages": [{"data": "e30="}]}', "holds an envelope of Pub/Sub"),
        (b'{"data": "e30=", "attributes": {}}', "holds the field data of a Pub/Sub message"),
        (b'{"specversion": "1.0", "data": {}}', "is a CloudEvent; publish only the request"),
    ],
)
def test_the_rejection_says_what_the_data_is(data: bytes, problem: str) -> None:
    with pytest.raises(Rejected) as rejection:
        json_object(data)
    assert problem.replace("\\\\", "\\") in rejection.value.problem.message
