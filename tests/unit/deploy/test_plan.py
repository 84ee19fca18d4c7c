"""The plan: exact commands in an order that works, least privilege, and authentication for every function."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from declaration.model import Declaration
from declaration.reading import DeclarationError, parse_declaration
from deploy.__main__ import main
from deploy.applying.cloud import NOT_FOUND
from deploy.declared import DECLARATION, read
from deploy.plan import plan
from deploy.planning.commands import Commands
from deploy.planning.deployment import environment
from deploy.planning.script import shell_command, shell_script
from deploy.planning.steps import DOCUMENT, ETAG, NAME, Plan, Step, placeholders
from shared.settings import Settings
from tests.paths import ROOT

PROJECT = "films"
FUNCTIONS = sorted(read().functions)


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return read()


@pytest.fixture(scope="module")
def films(declaration: Declaration) -> Plan:
    return plan(declaration, PROJECT)


def step(deployment: Plan, about: str) -> Step:
    return next(each for each in deployment.steps if each.about == about)


def all_words(deployment: Plan) -> list[str]:
    return [word for each in deployment.steps for words in (each.create, each.update) for word in words]


def test_a_storage_function_is_deployed_with_its_bucket_as_trigger(films: Plan) -> None:
    words = step(films, "function import_model").create

    assert words[:7] == (
        *("gcloud", "functions", "deploy", "modeldrop-import-model", "--gen2"),
        *("--region=us-central1", "--runtime=python312"),
    )
    assert {
        "--entry-point=import_model",
        "--trigger-event-filters=type=google.cloud.storage.object.v1.finalized",
        "--trigger-event-filters=bucket=films-modeldrop-models",
        "--trigger-location=us-central1",
        "--retry",
        "--trigger-service-account=modeldrop-invoker@films.iam.gserviceaccount.com",
        "--service-account=modeldrop-runtime@films.iam.gserviceaccount.com",
        "--build-service-account=projects/films/serviceAccounts/modeldrop-build@films.iam.gserviceaccount.com",
        "--memory=512Mi",
        "--cpu=1",
        "--timeout=120s",
        "--concurrency=16",
        "--project=films",
    } < set(words)


def test_a_topic_function_is_deployed_with_its_topic_as_trigger(films: Plan) -> None:
    assert {"--trigger-topic=modeldrop-predict", "--retry"} < set(step(films, "function predict").create)


def test_an_http_function_has_no_retry(films: Plan) -> None:
    words = step(films, "function poll_jobs").create

    assert {"--trigger-http", "--max-instances=1"} < set(words)
    assert "--retry" not in words


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_requires_authentication(films: Plan, name: str) -> None:
    for words in (step(films, f"function {name}").create, step(films, f"function {name}").update):
        assert "--no-allow-unauthenticated" in words
        assert "--allow-unauthenticated" not in words


def test_publishers_uploaders_and_callers_get_one_role_on_one_resource(declaration: Declaration) -> None:
    members = ("group:films@example.com",)
    changed = declaration.model_copy(
        update={
            "topics": declaration.topics
            | {"predict": declaration.topics["predict"].model_copy(update={"publishers": members})},
            "buckets": declaration.buckets
            | {"model": declaration.buckets["model"].model_copy(update={"uploaders": members})},
            "functions": declaration.functions
            | {"submit_batch": declaration.functions["submit_batch"].model_copy(update={"callers": members})},
        }
    )

    grants = [each.grant for each in plan(changed, PROJECT).steps if each.grant is not None]
    assert {(grant.target.name, grant.role) for grant in grants if grant.member == members[0]} == {
        ("modeldrop-predict", "roles/pubsub.publisher"),
        ("gs://films-modeldrop-models", "roles/storage.objectUser"),
        ("modeldrop-submit-batch", "roles/run.invoker"),
    }


def test_no_role_is_granted_to_the_public(films: Plan) -> None:
    assert not [word for word in all_words(films) if "allUsers" in word or "allAuthenticatedUsers" in word]
    members = {word for word in all_words(films) if word.startswith("--member=")}
    assert members
    assert all(member.startswith("--member=serviceAccount:") for member in members)


def test_environment_is_enough_for_the_functions_to_start(declaration: Declaration) -> None:
    settings = Settings.from_environment(environment(Commands(declaration, PROJECT), declaration.functions["predict"]))

    assert settings.google_cloud_project == PROJECT
    assert settings.model_bucket == "films-modeldrop-models"
    assert settings.events_topic == "projects/films/topics/modeldrop-events"
    assert settings.vertex_location == "global"
    assert settings.poll_schedule == "projects/films/locations/us-central1/jobs/modeldrop-poll"


def test_every_function_gets_every_variable(films: Plan, declaration: Declaration) -> None:
    for name in FUNCTIONS:
        expected = environment(Commands(declaration, PROJECT), declaration.functions[name])
        (flag,) = [word for word in step(films, f"function {name}").create if word.startswith("--set-env-vars=")]
        assert dict(pair.split("=") for pair in flag.removeprefix("--set-env-vars=").split(",")) == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_thread_for_each_request_that_an_instance_takes(declaration: Declaration, name: str) -> None:
    function = declaration.functions[name]
    variables = environment(Commands(declaration, PROJECT), function)

    assert (variables["WORKERS"], variables["THREADS"]) == ("1", str(function.concurrency))


def test_a_value_with_a_comma_gets_another_separator(declaration: Declaration) -> None:
    changed = plan(declaration.model_copy(update={"settings": {"READABLE_DATASETS": "a.b,c.d"}}), PROJECT)

    (flag,) = [word for word in step(changed, "function predict").create if word.startswith("--set-env-vars=")]
    assert flag.startswith("--set-env-vars=^|^GOOGLE_CLOUD_PROJECT=films|")
    assert "READABLE_DATASETS=a.b,c.d" in flag.split("|")


def test_a_step_comes_after_the_steps_that_it_needs(films: Plan) -> None:
    order = [each.about for each in films.steps]

    def before(first: str, then: str) -> bool:
        return order.index(first) < order.index(then)

    assert order[0] == "APIs"
    assert before("account modeldrop-runtime", "roles/bigquery.jobUser on films for modeldrop-runtime")
    assert before("bucket gs://films-modeldrop-models", "function import_model")
    assert before("Cloud Storage may publish its events", "function import_model")
    assert before("topic modeldrop-predict", "function predict")
    assert before("topic modeldrop-dead-letters", "Pub/Sub may forward dead letters")
    assert before("function predict", "modeldrop-invoker may call predict")
    assert before("function predict", "retry and dead letters of predict")
    assert before("modeldrop-invoker may call poll_jobs", "schedule poll")


def test_the_invoker_may_call_only_the_functions_of_events_and_schedules(films: Plan) -> None:
    called = {
        each.about.removeprefix("modeldrop-invoker may call ") for each in films.steps if "may call" in each.about
    }

    assert called == set(FUNCTIONS) - {"submit_batch"}
    invokers = [each.create for each in films.steps if "--role=roles/run.invoker" in each.create]
    assert {words[:3] for words in invokers} == {("gcloud", "run", "services")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_only_google_calls_has_internal_ingress(films: Plan, name: str) -> None:
    """https://cloud.google.com/run/docs/securing/ingress: Eventarc and Cloud Scheduler of the project are internal."""
    expected = "all" if name == "submit_batch" else "internal-only"

    assert f"--ingress-settings={expected}" in step(films, f"function {name}").create


def test_a_declared_ingress_is_that_of_an_http_function(declaration: Declaration) -> None:
    batch = declaration.functions["submit_batch"].model_copy(update={"ingress": "internal-only"})
    changed = declaration.model_copy(update={"functions": {**declaration.functions, "submit_batch": batch}})

    assert "--ingress-settings=internal-only" in step(plan(changed, PROJECT), "function submit_batch").create


@pytest.mark.parametrize(("name", "caller"), [("predict", "Eventarc"), ("poll_jobs", "Cloud Scheduler")])
def test_the_ingress_of_a_function_that_google_calls_cannot_be_declared(name: str, caller: str) -> None:
    text = DECLARATION.read_text(encoding="utf-8").replace(f"  {name}:\n", f"  {name}:\n    ingress: all\n")

    with pytest.raises(
        DeclarationError, match=f"functions.{name}.ingress is all; expected none, because only {caller}"
    ):
        parse_declaration(text)


def test_a_feature_that_is_off_has_no_roles(films: Plan, declaration: Declaration) -> None:
    registry = declaration.features["registry"].model_copy(update={"enabled": True})
    enabled = plan(declaration.model_copy(update={"features": {**declaration.features, "registry": registry}}), PROJECT)

    assert "--role=roles/bigquery.user" in all_words(films)
    assert "--role=roles/aiplatform.admin" not in all_words(films)
    assert "--role=roles/aiplatform.admin" in all_words(enabled)


def test_without_features_the_functions_have_no_role_of_vertex_ai_connections_or_keys(declaration: Declaration) -> None:
    off = {name: each.model_copy(update={"enabled": False}) for name, each in declaration.features.items()}
    grants = [
        each.grant for each in plan(declaration.model_copy(update={"features": off}), PROJECT).steps if each.grant
    ]
    project = Commands(declaration, PROJECT).project_target()

    assert {each.role for each in grants if "modeldrop-runtime" in each.member and each.target == project} == {
        "roles/bigquery.jobUser",
        "roles/bigquery.dataEditor",
        "roles/cloudscheduler.jobRunner",
    }


def with_datasets(declaration: Declaration, readable: tuple[str, ...], writable: tuple[str, ...]) -> Plan:
    datasets = declaration.datasets
    assert datasets is not None
    changed = datasets.model_copy(
        update={
            "readable": datasets.readable.model_copy(update={"names": readable}),
            "writable": datasets.writable.model_copy(update={"names": writable}),
        }
    )
    return plan(declaration.model_copy(update={"datasets": changed}), PROJECT)


def data_grants(deployment: Plan) -> dict[str, str]:
    """Return the conditions of the runtime account's roles on data."""
    grants = [each.grant for each in deployment.steps if each.grant is not None]
    return {grant.role: grant.condition for grant in grants if grant.role.startswith("roles/bigquery.data")}


def test_without_named_datasets_the_role_is_on_the_project(films: Plan) -> None:
    assert data_grants(films) == {"roles/bigquery.dataEditor": ""}


def test_named_datasets_limit_the_roles_and_the_messages(declaration: Declaration) -> None:
    named = with_datasets(declaration, ("news", "bigquery-public-data.hacker_news"), ("predictions", "films.more"))

    def condition(*names: str) -> str:
        paths = [f"projects/films/datasets/{name}" for name in names]
        return " || ".join(f'resource.name == "{path}" || resource.name.startsWith("{path}/")' for path in paths)

    assert data_grants(named) == {
        "roles/bigquery.dataViewer": condition("news"),
        "roles/bigquery.dataEditor": condition("predictions", "more"),
    }
    (flag,) = [word for word in step(named, "function predict").create if word.startswith("--set-env-vars=")]
    variables = flag.split("|")
    assert "READABLE_DATASETS=news,bigquery-public-data.hacker_news" in variables
    assert "WRITABLE_DATASETS=predictions,films.more" in variables


def test_named_writable_datasets_leave_all_data_readable(declaration: Declaration) -> None:
    assert data_grants(with_datasets(declaration, (), ("predictions",)))["roles/bigquery.dataViewer"] == ""


def test_storage_and_topic_roles_are_on_single_buckets_and_topics(films: Plan) -> None:
    runtime = "--member=serviceAccount:modeldrop-runtime@films.iam.gserviceaccount.com"
    on_project = {
        word for each in films.steps if runtime in each.create and each.create[1] == "projects" for word in each.create
    }

    assert not [word for word in on_project if "roles/storage" in word or "roles/pubsub" in word]
    bound = step(films, "roles/storage.objectUser on gs://films-modeldrop-state for modeldrop-runtime").create
    assert bound[1:5] == ("storage", "buckets", "add-iam-policy-binding", "gs://films-modeldrop-state")


def test_every_event_function_gets_backoff_and_dead_letters(films: Plan, declaration: Declaration) -> None:
    for name, function in declaration.functions.items():
        if not function.is_called_by_events:
            continue
        words = step(films, f"retry and dead letters of {name}").create
        assert words[:5] == ("gcloud", "pubsub", "subscriptions", "update", f"${{{name.upper()}_SUBSCRIPTION}}")
        assert {
            "--min-retry-delay=10s",
            "--max-retry-delay=600s",
            "--dead-letter-topic=projects/films/topics/modeldrop-dead-letters",
            "--max-delivery-attempts=20",
        } < set(words)


def test_pubsub_may_forward_and_acknowledge_dead_letters(films: Plan) -> None:
    agent = "--member=serviceAccount:service-${PROJECT_NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"

    forward = step(films, "Pub/Sub may forward dead letters").create
    assert {agent, "--role=roles/pubsub.publisher", "modeldrop-dead-letters"} < set(forward)
    acknowledge = step(films, "Pub/Sub may acknowledge dead letters").create
    assert {agent, "--role=roles/pubsub.subscriber"} < set(acknowledge)


def test_a_schedule_calls_with_a_token_of_the_invoker_for_the_url_of_the_function(films: Plan) -> None:
    words = step(films, "schedule poll").create

    assert words[:6] == ("gcloud", "scheduler", "jobs", "create", "http", "modeldrop-poll")
    assert {
        "--schedule=* * * * *",
        "--uri=${POLL_JOBS_URL}",
        "--oidc-token-audience=${POLL_JOBS_URL}",
        "--oidc-service-account-email=modeldrop-invoker@films.iam.gserviceaccount.com",
        "--message-body={}",
    } < set(words)


def test_buckets_have_no_public_access(films: Plan) -> None:
    buckets = [each for each in films.steps if each.about.startswith("bucket ")]

    assert len(buckets) == 3
    assert all("--public-access-prevention" in each.create for each in buckets)
    assert all("--uniform-bucket-level-access" in each.create for each in buckets)


def test_every_placeholder_has_a_lookup(films: Plan) -> None:
    parts = [
        (*each.create, *each.update, *each.describe, *each.delete, each.document, each.update_document)
        for each in films.steps
    ]
    used = {name for words in [*parts, *films.lookups.values()] for name in placeholders(words)}

    # These are known when a step runs.
    assert used - {DOCUMENT, ETAG, NAME} <= set(films.lookups)


def test_the_plan_is_printed_as_a_valid_bash_script(films: Plan, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy", "plan", "--project", PROJECT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert printed == shell_script(films, NOT_FOUND)
    (tmp_path / "plan.sh").write_text(printed, encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(tmp_path / "plan.sh")], check=False).returncode == 0


def test_a_command_in_the_script_equals_the_command_of_apply() -> None:
    words = ("gcloud", "scheduler", "--schedule=* * * * *", '--body={"a": "it\'s $5"}', "x" * 100, "--project=films")

    assert tuple(shlex.split(shell_command(words).replace("\\\n", ""))) == words


def test_a_lookup_runs_once_before_its_first_use(films: Plan) -> None:
    lines = shell_script(films, NOT_FOUND).splitlines()

    for name in films.lookups:
        uses = [number for number, line in enumerate(lines) if f"${{{name}}}" in line]
        runs = [number for number, line in enumerate(lines) if line.startswith(f"{name}=$(")]
        assert len(runs) == (1 if uses else 0)
        assert not uses or runs[0] < uses[0]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("DROP_STUCK_SECONDS: abc", "settings.DROP_STUCK_SECONDS is 'abc'; expected a number of seconds"),
        ("DROP_STUCK_SECOND: 60", "settings.DROP_STUCK_SECOND is not a setting; did you mean DROP_STUCK_SECONDS?"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, problem: str
) -> None:
    lines = DECLARATION.read_text().replace("\nsettings: {}\n", f"\nsettings:\n  {setting}\n").splitlines()
    (tmp_path / "wrong.yaml").write_text("\n".join(lines))
    assert main(["--declaration", str(tmp_path / "wrong.yaml"), "plan", "--project", PROJECT]) == 1
    assert f"line {lines.index(f'  {setting}') + 1}: {problem}" in capsys.readouterr().err


STAGING = "environments: {staging: {settings: {SETTLE_SECONDS: 5}}}"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """A declaration with an environment of its own settings."""
    path = tmp_path / "functions.yaml"
    path.write_text(DECLARATION.read_text().replace("environments: {}", STAGING))
    return path


def test_an_environment_has_its_own_names_and_settings(staging: Path) -> None:
    common, other = plan(read(staging), PROJECT), plan(read(staging, "staging"), PROJECT)

    names = {each.about.split(" ")[1] for each in other.steps if each.about.startswith(("bucket", "topic", "account"))}
    assert names
    assert all(name.startswith(("modeldrop-staging-", "gs://films-modeldrop-staging-")) for name in names)
    assert not {each.create for each in common.steps} & {
        each.create for each in other.steps if "modeldrop" in " ".join(each.create)
    }
    assert "SETTLE_SECONDS=5" in " ".join(step(other, "function predict").create)
    assert "SETTLE_SECONDS" not in " ".join(step(common, "function predict").create)


@pytest.mark.parametrize("arguments", [["--env", "staging", "plan"], ["plan", "--env", "staging"]])
def test_an_environment_is_named_before_or_after_the_command(
    staging: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["--declaration", str(staging), *arguments, "--project", PROJECT]) == 0

    assert "gs://films-modeldrop-staging-models" in capsys.readouterr().out


def test_an_environment_that_is_not_declared_is_refused(staging: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--declaration", str(staging), "--env", "stagin", "plan", "--project", PROJECT]) == 1

    assert "environments has no stagin; did you mean staging? There are: staging" in capsys.readouterr().err


def test_a_reader_that_ends_early_is_no_error() -> None:
    command = f"{sys.executable} -m deploy plan --project {PROJECT} | head -c 1"

    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("#", "")


@pytest.mark.parametrize("project", ["4242", "Films", "my films", "films-"])
def test_what_is_not_the_id_of_a_project_is_refused(project: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "--project", project])

    assert f"{project!r} is not the id of a project; expected lowercase letters" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["apply"], ["destroy", "--yes"], ["plan", "--diff"], ["monitoring", "apply"], ["monitoring", "remove"]],
)
@pytest.mark.parametrize("variable", ["LOCALCLOUD_URL", "PUBSUB_EMULATOR_HOST"])
def test_the_variables_of_a_local_cloud_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "http://localhost:8080")
    monkeypatch.setenv("PATH", "")

    assert main([*arguments, "--project", PROJECT]) == 1

    assert f"The variables of a local cloud are set ({variable})" in capsys.readouterr().err
