"""Reading functions.yaml: its values, and the errors that name the line and the field."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from declaration.model import Declaration, HttpTrigger, StorageTrigger, TopicTrigger
from declaration.reading import DeclarationError, parse_declaration, read_declaration
from tests.unit.declaration.documents import OWN, SMALL, changed, error_of, errors


@pytest.fixture(scope="module")
def own() -> Declaration:
    return read_declaration(OWN)


def test_triggers_are_read(own: Declaration) -> None:
    assert {name: function.trigger for name, function in own.functions.items()} == {
        "import_model": StorageTrigger(storage="google.cloud.storage.object.v1.finalized", bucket="model"),
        "notice_deletion": StorageTrigger(storage="google.cloud.storage.object.v1.deleted", bucket="model"),
        "predict": TopicTrigger(topic="predict"),
        "submit_batch": HttpTrigger(http="POST"),
        "submit_batch_message": TopicTrigger(topic="batch"),
        "poll_jobs": HttpTrigger(http="POST"),
        "poll_part": TopicTrigger(topic="work"),
        "manage_model": TopicTrigger(topic="models"),
    }


def test_functions_without_an_http_trigger_are_called_by_events(own: Declaration) -> None:
    called = {name for name, function in own.functions.items() if function.is_called_by_events}

    assert called == {"import_model", "notice_deletion", "predict", "submit_batch_message", "poll_part", "manage_model"}


def test_names_contain_the_project(own: Declaration) -> None:
    assert own.buckets["model"].name_in("films") == "films-modeldrop-models"
    assert own.topics["events"].path("films") == "projects/films/topics/modeldrop-events"
    assert own.accounts["runtime"].email("films") == "modeldrop-runtime@films.iam.gserviceaccount.com"


def test_events_and_dead_letters_have_a_subscription_that_holds_them(own: Declaration) -> None:
    assert {topic.name: topic.hold for topic in own.topics.values() if topic.hold} == {
        "modeldrop-events": "modeldrop-events-log",
        "modeldrop-dead-letters": "modeldrop-dead-letters-hold",
    }
    assert own.dead_letters.name == "modeldrop-dead-letters"
    assert own.dead_letters_hold == "modeldrop-dead-letters-hold"


def test_schedule_is_read(own: Declaration) -> None:
    schedule = own.schedules["poll"]

    assert (schedule.job, schedule.function, schedule.body) == ("modeldrop-poll", "poll_jobs", {})


def test_settings_become_text() -> None:
    settings = {"SETTLE_SECONDS": 5, "SAFE_IMPORT": True, "READABLE_DATASETS": "a,b"}

    assert parse_declaration(changed("settings", settings)).settings == {
        "SETTLE_SECONDS": "5",
        "SAFE_IMPORT": "True",
        "READABLE_DATASETS": "a,b",
    }


def test_a_body_may_contain_null() -> None:
    assert parse_declaration(changed("schedules.poll.body", {"since": None})).schedules["poll"].body == {"since": None}


@pytest.mark.parametrize("section", ["buckets", "topics", "functions", "schedules", "settings", "local_settings"])
def test_a_section_without_entries_may_be_empty(section: str) -> None:
    text = yaml.safe_dump({**yaml.safe_load(SMALL.read_text()), "schedules": None, "functions": None, section: None})
    if section == "topics":
        assert error_of(text, "retry.dead_letter_topic").startswith("names dead, which is not a declared topic")
    else:
        assert not getattr(parse_declaration(text), section)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("functions.submit_batch.allow_unauthenticated", True),
        ("functions.submit_batch.allow_unauthenticated", False),
        ("functions.submit_batch.allow_unauthenticated", None),
        ("functions.submit_batch.authentication", "none"),
        ("functions.submit_batch.public", True),
        ("functions.submit_batch.invokers", ["allUsers"]),
        ("functions.submit_batch.trigger.unauthenticated", True),
        ("functions.poll_jobs.trigger.invoker", "allAuthenticatedUsers"),
        ("functions.predict.ingress_settings", "all"),
    ],
)
def test_a_function_without_authentication_is_refused(field: str, value: object) -> None:
    reason = error_of(changed(field, value), field)

    assert reason == "is refused: functions are only ever deployed with authentication"


@pytest.mark.parametrize("public", ["allUsers", "allAuthenticatedUsers"])
def test_a_public_principal_is_not_an_account(public: str) -> None:
    assert error_of(changed("accounts.invoker.id", public), "accounts.invoker.id").startswith(
        f"is '{public}'; expected"
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("region", "moon", "is 'moon'; expected a region such as us-central1"),
        ("runtime", "nodejs22", "is 'nodejs22'; expected a runtime of Python 3.11 or newer, such as python312"),
        (
            "functions.predict.service",
            "predict --public",
            "is 'predict --public'; expected a name of 1 to 63 lowercase letters, digits and hyphens that starts with a letter "
            "and does not end with a hyphen",
        ),
        ("functions.predict.memory", "512", "is '512'; expected an amount of memory from 128Mi to 32Gi, such as 512Mi"),
        ("functions.predict.memory", 512, "is 512; expected an amount of memory from 128Mi to 32Gi, such as 512Mi"),
        (
            "functions.predict.timeout_seconds",
            541,
            "is 541; expected a whole number from 1 to 540, because events call the function",
        ),
        ("functions.submit_batch.timeout_seconds", 3601, "is 3601; expected a whole number from 1 to 3600"),
        ("functions.predict.timeout_seconds", "soon", "is 'soon'; expected a whole number from 1 to 3600"),
        ("functions.predict.concurrency", 0, "is 0; expected a whole number from 1 to 1000"),
        ("functions.predict.concurrency", True, "is True; expected a whole number from 1 to 1000"),
        (
            "functions.predict.cpu",
            None,
            "is 32; expected 1, because a function without `cpu` has less than one CPU; or declare `cpu: 1` or more",
        ),
        ("functions.submit_batch.trigger.http", "GET", "is 'GET'; expected POST"),
        ("functions.predict.trigger", "POST", "is 'POST'; expected one of storage, topic and http"),
        (
            "functions.predict.trigger",
            {"https": "POST"},
            "is {'https': 'POST'}; expected one of storage, topic and http",
        ),
        (
            "functions.predict.trigger.topic",
            "dead_letters",
            "is dead_letters, the topic of dead letters, which would come back for ever; expected another topic",
        ),
        ("functions.predict.trigger.bucket", "model", "is not a field; there are: topic"),
        (
            "functions.predict.memry",
            "512Mi",
            "is not a field; did you mean memory? There are: service, trigger, memory, timeout_seconds, concurrency, "
            "env, cpu, maximum_instances, callers, ingress",
        ),
        (
            "functions.predict.trigger.topic",
            "predit",
            "names predit, which is not a declared topic; did you mean predict? "
            "There are: predict, batch, models, work, events, dead_letters",
        ),
        (
            "functions.import_model.trigger.bucket",
            "nothing",
            "names nothing, which is not a declared bucket; there are: model, state, output",
        ),
        ("retry.maximum_delivery_attempts", 4, "is 4; expected a whole number from 5 to 100"),
        ("retry.maximum_delivery_attempts", 101, "is 101; expected a whole number from 5 to 100"),
        ("retry.minimum_backoff_seconds", 601, "is 601; expected a whole number from 0 to 600"),
        ("retry.minimum_backoff_seconds", "soon", "is 'soon'; expected a whole number from 0 to 600"),
        (
            "retry.maximum_backoff_seconds",
            5,
            "is 5; expected at least minimum_backoff_seconds, which is 10",
        ),
        (
            "retry.dead_letter_topic",
            "nothing",
            "names nothing, which is not a declared topic; there are: predict, batch, models, work, events, dead_letters",
        ),
        ("retry.dead_letter_topic", "batch", "is batch, a topic without `hold`: it would drop every dead letter"),
        (
            "schedules.poll.cron",
            "every minute",
            "is 'every minute'; expected a cron expression of five fields such as \"* * * * *\"",
        ),
        (
            "schedules.poll.function",
            "predict",
            "names predict, which is not a declared HTTP function; there are: submit_batch, poll_jobs",
        ),
        ("schedules.poll.attempt_deadline_seconds", 1801, "is 1801; expected a whole number from 15 to 1800"),
        ("accounts.runtime.roles", "owner", "is 'owner'; expected a list"),
        (
            "accounts.runtime.bucket_roles",
            {"models": ["roles/storage.objectUser"]},
            "names models, which is not a declared bucket; did you mean model? There are: model, state, output",
        ),
        (
            "topics.predict.env",
            "predict-topic",
            "is 'predict-topic'; expected the name of a variable such as MODEL_BUCKET, which is not reserved",
        ),
        (
            "topics.predict.publishers",
            ["allUsers"],
            "is 'allUsers'; expected a member such as user:ada@example.com, and never the public",
        ),
        (
            "buckets.model.uploaders",
            ["allAuthenticatedUsers"],
            "is 'allAuthenticatedUsers'; expected a member such as user:ada@example.com, and never the public",
        ),
        (
            "functions.submit_batch.callers",
            ["ada@example.com"],
            "is 'ada@example.com'; expected a member such as user:ada@example.com, and never the public",
        ),
        (
            "functions.predict.callers",
            ["user:ada@example.com"],
            "are refused, because only Eventarc calls a function with an event trigger",
        ),
        (
            "datasets.writable.names",
            ["größen"],
            "is 'größen'; expected a dataset: `dataset`, or `project.dataset`, of letters, digits and underscores",
        ),
        ("datasets.writable.name", [], "is not a field; did you mean names? There are: role, env, names"),
        ("features.batches.enabled", "yes", "is 'yes'; Input should be a valid boolean"),
        (
            "features.batches.vertex_bucket_roles",
            {"outputs": ["roles/storage.objectUser"]},
            "names outputs, which is not a declared bucket; did you mean output? There are: model, state, output",
        ),
        ("buckets.model", "models", "is 'models'; expected fields"),
        ("settings", ["SAFE_IMPORT"], "is ['SAFE_IMPORT']; expected fields"),
        ("settings.SAFE_IMPORT", None, "is None; expected a value; remove the setting to keep its default"),
        ("settings.READABLE_DATASETS", ["a"], "is ['a']; expected text, a number, or true or false"),
        (
            "local_places.VERTEX_ENDPOINT",
            "moon",
            "is 'moon'; expected 'vertex_url', 'vertex_location' or 'scheduler_url'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(field: str, value: object, reason: str) -> None:
    named = {
        "functions.predict.cpu": "functions.predict.concurrency",
        "accounts.runtime.bucket_roles": "accounts.runtime.bucket_roles.models",
        "topics.predict.publishers": "topics.predict.publishers[0]",
        "buckets.model.uploaders": "buckets.model.uploaders[0]",
        "functions.submit_batch.callers": "functions.submit_batch.callers[0]",
        "datasets.writable.names": "datasets.writable.names[0]",
        "features.batches.vertex_bucket_roles": "features.batches.vertex_bucket_roles.outputs",
    }
    assert error_of(changed(field, value), named.get(field, field)) == reason


def test_a_list_of_datasets_is_not_given_twice() -> None:
    text = changed("datasets.readable.names", ["films"]).replace(
        "\nsettings: {}", "\nsettings: {READABLE_DATASETS: films}"
    )

    assert error_of(text, "settings.READABLE_DATASETS") == "is given already by datasets.readable.names"


def test_every_function_has_a_limit_of_instances(own: Declaration) -> None:
    assert all(function.maximum_instances for function in own.functions.values())


def test_a_wrong_item_of_a_list_is_named_with_its_position() -> None:
    text = changed("accounts.runtime.roles", ["roles/bigquery.jobUser", "owner"])

    assert error_of(text, "accounts.runtime.roles[1]") == "is 'owner'; expected a role such as roles/pubsub.publisher"


@pytest.mark.parametrize(
    "field",
    [
        "region",
        "runtime",
        "accounts",
        "retry",
        "accounts.build.id",
        "buckets.model.env",
        "functions.predict.service",
        "functions.predict.trigger",
        "topics.batch.name",
        "schedules.poll.body",
    ],
)
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_or_empty_field_is_named(field: str, absent: bool) -> None:
    text = changed(field, None)
    if absent:
        text = re.sub(rf"^ *{field.rpartition('.')[2]}: null\n", "", text, flags=re.MULTILINE)
        assert text != changed(field, None)

    assert error_of(text, field) == "is missing"


@pytest.mark.parametrize("account", ["runtime", "invoker", "build"])
def test_each_account_is_required(account: str) -> None:
    document = yaml.safe_load(SMALL.read_text())
    del document["accounts"][account]

    assert error_of(yaml.safe_dump(document, sort_keys=False), "accounts").startswith(
        f"has no {account}, which is required; there are: "
    )


def test_a_topic_that_the_caller_requires_must_be_declared() -> None:
    with pytest.raises(DeclarationError, match=r"topics has no models, which is required; there are: watched, dead$"):
        read_declaration(SMALL, required_topics=["models"])


@pytest.mark.parametrize(
    ("right", "wrong", "line", "field"),
    [
        ("region: us-central1", "region: moon", 1, "region"),
        ("{id: small-build}", "{}", 6, "accounts.build.id"),
        ("env: KEPT_BUCKET", "environ: KEPT_BUCKET", 9, "buckets.kept.environ"),
        ("bucket: watched", "bucket: watchd", 25, "functions.keep_object.trigger.bucket"),
        ("dead_letter_topic: dead", "dead_letter_topic: alive", 17, "retry.dead_letter_topic"),
        ("function: keep_call", "function: keep_it", 46, "schedules.call.function"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, right: str, wrong: str, line: int, field: str) -> None:
    text = SMALL.read_text()
    assert text.splitlines()[line - 1].find(right) >= 0
    path = tmp_path / "functions.yaml"
    path.write_text(text.replace(right, wrong, 1))

    with pytest.raises(DeclarationError) as raised:
        read_declaration(path)

    assert any(each.startswith(f"{path}, line {line}: {field} ") for each in str(raised.value).splitlines())


def test_a_file_in_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "functions.yaml").write_text("")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DeclarationError, match=r"^functions\.yaml, line 1: the document is empty$"):
        read_declaration(tmp_path / "functions.yaml")


def test_every_problem_is_reported() -> None:
    text = SMALL.read_text().replace("memory: 256Mi", "memory: much").replace("runtime: python312", "runtime: ruby")

    assert [line.partition(": ")[2].split()[0] for line in errors(text)] == [
        "runtime",
        *(f"functions.{name}.memory" for name in ("keep_object", "keep_message", "keep_call")),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the document is empty"),
        ("- a list", "line 1: the document is ['a list']; expected fields"),
        ("region: x\nfunctions: [", "line 2: this is not YAML: "),
        ("\t", "line 1: this is not YAML: "),
        ("region: x\n---\nregion: x", "line 2: this is not YAML: "),
        ("region: x\nruntime: y\nregion: z", "line 3: region is given twice"),
        ("topics:\n  a: {name: b, name: c}", "line 2: topics.a.name is given twice"),
        ("settings: &all\n  a: *all", "line 1: settings.a contains itself"),
        ("body: !!python/none x", "line 1: this is not YAML: "),
    ],
)
def test_text_that_is_not_a_declaration_is_refused(text: str, reason: str) -> None:
    assert errors(text)[0].startswith(f"functions.yaml, {reason}")


@pytest.mark.parametrize("content", [None, b"region: \xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "functions.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DeclarationError, match=rf"^The declaration {path} cannot be read: "):
        read_declaration(path)
