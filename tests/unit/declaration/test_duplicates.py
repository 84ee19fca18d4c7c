"""A declaration in which two resources have one name, or a list has something twice, is refused."""

from __future__ import annotations

from functools import reduce
from operator import getitem

import pytest
import yaml

from tests.unit.declaration.documents import OWN, changed, error_of


@pytest.mark.parametrize(
    ("field", "first", "kind"),
    [
        ("accounts.test.id", "accounts.build.id", "account"),
        ("buckets.state.name", "buckets.model.name", "bucket"),
        ("topics.batch.name", "topics.predict.name", "topic"),
        ("topics.dead_letters.hold", "topics.events.hold", "subscription"),
        ("functions.predict.service", "functions.import_model.service", "function"),
        ("schedules.again.job", "schedules.poll.job", "schedule"),
        ("topics.predict.env", "buckets.model.env", "variable"),
        ("datasets.writable.env", "datasets.readable.env", "variable"),
    ],
)
def test_two_resources_with_one_name_are_refused(field: str, first: str, kind: str) -> None:
    document = yaml.safe_load(OWN.read_text(encoding="utf-8"))
    document["schedules"]["again"] = {**document["schedules"]["poll"], "job": "again", "env": "AGAIN"}
    name = reduce(getitem, first.split("."), document)
    *parents, last = field.split(".")
    reduce(getitem, parents, document)[last] = name

    shown = name.replace("{name}", "modeldrop")
    assert error_of(yaml.safe_dump(document, sort_keys=False), field) == (
        f"is {shown}, the {kind} of {first} already; expected another name"
    )


@pytest.mark.parametrize(
    ("field", "item"),
    [
        ("datasets.readable.names", "films"),
        ("accounts.runtime.roles", "roles/bigquery.jobUser"),
        ("topics.predict.publishers", "user:ada@example.com"),
        ("alerts.emails", "ada@example.com"),
    ],
)
def test_a_list_that_has_something_twice_is_refused(field: str, item: str) -> None:
    wrong = error_of(changed(field, [item, item]), field)

    assert wrong.endswith(f"; expected each of them once, and {item} is there twice")


def test_a_setting_does_not_replace_the_name_of_a_resource() -> None:
    assert (
        error_of(changed("settings.MODEL_BUCKET", "mine"), "settings.MODEL_BUCKET")
        == "is given already by buckets.model"
    )
