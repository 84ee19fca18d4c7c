"""What has left the declaration is removed, and no message that waits is lost unless that is asked for."""

from __future__ import annotations

import re

import pytest

from deploy.applying.cloud import CommandFailedError
from tests.unit.deploy.conftest import Deployer

FUNCTION = "cloudfunctions/projects/films/locations/us-central1/functions/modeldrop-predict"


@pytest.fixture
def left(deployer: Deployer) -> Deployer:
    """A deployer that has applied more than is declared now: something of each kind, with ``former`` in its name."""
    now = deployer.declaration
    function = now.functions["manage_model"].model_copy(update={"service": "modeldrop-former"})
    topic = now.topics["events"].model_copy(update={"name": "modeldrop-former", "hold": "modeldrop-former-log"})
    schedule = now.schedules["poll"].model_copy(update={"job": "modeldrop-former"})
    account = now.accounts["build"].model_copy(update={"id": "modeldrop-former"})
    bucket = now.buckets["output"].model_copy(update={"name": "{project}-former"})
    deployer.change(
        functions={**now.functions, "former": function},
        topics={**now.topics, "former": topic},
        schedules={**now.schedules, "former": schedule},
        accounts={**now.accounts, "former": account},
        buckets={**now.buckets, "former": bucket},
    )
    deployer.apply()
    deployer.declaration = now
    return deployer


def former(deployer: Deployer) -> set[str]:
    """Return what is left, by kind and name, without what belongs to a function."""
    found = {"/".join(name.split("/")[-2:]) for name in deployer.project.resources if "former" in name}
    return {name for name in found if not name.startswith(("services/", "triggers/", "subscriptions/eventarc"))}


DATA = {"buckets/films-former", "subscriptions/modeldrop-former-log"}
OTHERS = {
    "functions/modeldrop-former",
    "topics/modeldrop-former",
    "jobs/modeldrop-former",
    "serviceAccounts/modeldrop-former@films.iam.gserviceaccount.com",
}


def test_apply_removes_what_has_left_the_declaration_and_keeps_its_data(left: Deployer) -> None:
    assert former(left) == DATA | OTHERS

    left.apply(drops_messages=True)

    assert former(left) == DATA
    assert [grant for grant in left.project.grants() if "modeldrop-former" in "".join(grant)] == []
    assert "function modeldrop-former: removed, because it is not declared" in left.lines
    assert "bucket films-former: is not declared, and is kept, because it holds data" in left.lines


def test_destroy_removes_what_has_left_the_declaration(left: Deployer) -> None:
    assert left.destroy() == []

    assert former(left) == DATA
    assert "function modeldrop-former: deleted" in left.lines
    assert "bucket films-former: kept, because it holds data" in left.lines
    assert not [member for _, _, member in left.project.grants() if "modeldrop-" in member]

    assert left.destroy(with_data=True) == []

    assert left.project.resources == {}


def test_destroy_names_what_has_left_the_declaration_and_cannot_be_deleted(left: Deployer) -> None:
    left.project.failing = {"cloudscheduler.jobs.delete": 500}

    failures = left.destroy()

    assert [line for line in failures if "gcloud scheduler jobs delete modeldrop-former" in line]


def test_a_function_with_a_trigger_is_not_removed_unless_its_messages_may_be_lost(left: Deployer) -> None:
    with pytest.raises(
        CommandFailedError, match=r"function modeldrop-former: is not declared any more\n.*\n.*--drop-mess"
    ):
        left.apply()

    assert former(left) == DATA | OTHERS
    assert {call.permission for call in left.project.changes()} == {"serviceusage.services.enable"}


def rename_topic(deployer: Deployer) -> None:
    topics = deployer.declaration.topics
    deployer.change(topics={**topics, "predict": topics["predict"].model_copy(update={"name": "orders"})})


def rename_bucket(deployer: Deployer) -> None:
    buckets = deployer.declaration.buckets
    deployer.change(buckets={**buckets, "model": buckets["model"].model_copy(update={"name": "{project}-drops"})})


def call_by_http(deployer: Deployer) -> None:
    functions = deployer.declaration.functions
    http = functions["submit_batch"].trigger
    deployer.change(functions={**functions, "predict": functions["predict"].model_copy(update={"trigger": http})})


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        (
            rename_topic,
            "function predict: eventTrigger.pubsubTopic is projects/films/topics/modeldrop-predict, "
            "declared projects/films/topics/orders",
        ),
        (
            rename_bucket,
            "function import_model: eventTrigger.eventFilters.0.value is films-modeldrop-models, declared films-drops",
        ),
        (
            call_by_http,
            "function predict: eventTrigger.eventType is google.cloud.pubsub.topic.v1.messagePublished, declared not set",
        ),
    ],
)
def test_a_trigger_is_not_replaced_unless_its_messages_may_be_lost(applied: Deployer, change, loss: str) -> None:
    change(applied)
    assert f"! {loss}: needs --drop-messages, because messages may wait in its subscription" in applied.differences()

    with pytest.raises(CommandFailedError, match=re.escape(loss)):
        applied.apply()

    assert {call.permission for call in applied.project.changes()} == {"serviceusage.services.enable"}


def test_a_topic_has_another_name_once_messages_may_be_lost(applied: Deployer) -> None:
    rename_topic(applied)

    applied.apply(drops_messages=True)

    assert applied.project.resources[FUNCTION]["eventTrigger"]["pubsubTopic"] == "projects/films/topics/orders"
    assert "modeldrop-predict" not in applied.project.names("topics")
    assert applied.differences() == []
