"""The fields of a request: each is carried out, listed in docs/gemini.md as one without effect, or refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from localcloud.apis.discovery import read_document
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.gemini.openai import OpenAIBackend
from localcloud.gemini.request_fields import ECHO, OPENAI, RequestFields
from tests.localcloud.gemini.prompts import MODEL, text_request
from tests.paths import ROOT

PAGE = (ROOT / "docs/gemini.md").read_text()
MESSAGES = ("GenerateContentRequest", "GenerationConfig")
DESCRIBED = {
    name
    for version in ("v1", "v1beta1")
    for message in MESSAGES
    for name in read_document(f"aiplatform.{version}").schemas[f"GoogleCloudAiplatform{version.capitalize()}{message}"][
        "properties"
    ]
}


def refused(fields: RequestFields) -> set[str]:
    return DESCRIBED - fields.carried_out - fields.without_effect.keys()


def test_the_page_lists_the_fields_without_effect() -> None:
    table = PAGE.split("| field | stand-in | `openai` |\n|---|---|---|\n")[1].split("\n\n")[0]
    rows = [re.fullmatch(r"\| `(\w+)` \| (.+) \| (.+) \|", line) for line in table.splitlines()]

    for fields, column in ((ECHO, 2), (OPENAI, 3)):
        listed = {row[1]: row[column] for row in rows if row is not None}
        without_effect = {name: why for name, why in listed.items() if why not in ("carried out", "refused")}
        assert without_effect == fields.without_effect
        assert {name for name, why in listed.items() if why == "refused"} == refused(fields) & listed.keys()


@pytest.mark.parametrize("fields", [ECHO, OPENAI], ids=lambda fields: fields.backend)
def test_google_has_each_listed_field(fields: RequestFields) -> None:
    assert fields.carried_out | fields.without_effect.keys() <= DESCRIBED | {"model"}


@pytest.mark.parametrize("name", sorted(refused(ECHO)))
def test_the_stand_in_refuses_the_other_fields(name: str) -> None:
    request: dict[str, Any] = text_request("x")
    for given in (request | {name: {"a": 1}}, request | {"generationConfig": {name: {"a": 1}}}):
        with pytest.raises(BackendError, match=f"The field {name} is not supported by the stand-in model") as raised:
            EchoBackend().generate(MODEL, given)
        assert raised.value.code == 501


def test_a_field_that_is_not_set_is_no_error() -> None:
    request = text_request("x") | {"modelArmorConfig": None, "generation_config": {"enable_affective_dialog": False}}
    assert EchoBackend().generate(MODEL, request)["candidates"]


def test_a_server_with_openais_api_is_not_sent_half_a_request() -> None:
    request = text_request("x") | {"model_armor_config": {"promptTemplateName": "x"}}
    with pytest.raises(BackendError, match="modelArmorConfig is not supported by the OpenAI-compatible backend"):
        OpenAIBackend("http://127.0.0.1:1").generate(MODEL, request)
