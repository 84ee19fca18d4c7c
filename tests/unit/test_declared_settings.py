"""The settings that functions.yaml gives a value are settings of the functions."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

import main
from deploy.declared import read
from shared.settings import Settings
from tests.paths import ROOT

NAMES = {field.name.upper() for field in fields(Settings)}
# The name is Google's own; the client libraries read it too.
GOOGLES = "GOOGLE_CLOUD_PROJECT"


@pytest.mark.parametrize("section", ["settings", "local_settings", "local_places"])
def test_every_declared_setting_is_one_of_the_functions(section: str) -> None:
    assert set(getattr(read(), section)) <= NAMES


def test_every_required_setting_comes_from_the_declared_resources() -> None:
    declaration = read()
    resources = {each.env for each in [*declaration.buckets.values(), *declaration.topics.values()]}

    assert {name for name in NAMES if name.endswith(("_BUCKET", "_TOPIC"))} <= resources


def test_the_declared_functions_are_the_entry_points_of_main() -> None:
    assert set(read().functions) == set(main.ENTRY_POINTS)


@pytest.mark.long
def test_the_local_cloud_knows_no_setting_by_name() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "localcloud").rglob("*.py"))
    declaration = read()
    resources = {each.env for each in [*declaration.buckets.values(), *declaration.topics.values()]}
    urls = {function.env for function in declaration.functions.values() if function.env is not None}

    assert [name for name in (NAMES | resources | urls) - {GOOGLES} if re.search(rf"\b{name}\b", source)] == []
