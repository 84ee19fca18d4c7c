"""The real gcloud reads, applies and destroys a small declaration in the fake project, and does what the stand-in does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from declaration.model import Declaration
from declaration.reading import read_declaration
from declaration.resources import Feature
from deploy.applying.apply import apply, show_differences
from deploy.applying.cloud import Cloud, CommandFailedError, NotFoundError
from deploy.applying.destroy import destroy
from deploy.applying.passing import Patience
from deploy.checking.checks import Checks
from deploy.checking.findings import Status
from deploy.declared import read
from deploy.plan import plan
from deploy.planning.foundation import SERVICES, services
from deploy.planning.steps import DOCUMENT, Plan, Words, fill, placeholders
from tests.control_plane.errors import ApiError
from tests.control_plane.gcloud import StandIn
from tests.control_plane.project import FakeProject
from tests.control_plane.real_gcloud import RealGcloud, running
from tests.control_plane.server import gcloud_environment, serving
from tests.paths import ROOT, SAMPLE_FUNCTIONS

pytestmark = pytest.mark.skipif(
    shutil.which("gcloud") is None, reason="needs gcloud: install the Google Cloud SDK to run it"
)

UPLOAD = "upload.googleapis.com"
"""The address that gcloud uploads the source to, which is not an API."""


@pytest.fixture(scope="module")
def small() -> Plan:
    declaration = read_declaration(SAMPLE_FUNCTIONS / "small" / "deploy" / "functions.yaml")
    alerts = declaration.alerts.model_copy(update={"emails": ("ada@example.com",)})
    return plan(declaration.model_copy(update={"alerts": alerts}), "films")


@pytest.fixture
def served(project: FakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProject]:
    """The project, which gcloud calls in place of Google Cloud."""
    monkeypatch.chdir(ROOT)
    token = tmp_path / "token"
    token.write_text("a-token")
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", str(token))
    with serving(project) as url:
        for name, value in gcloud_environment(url, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield project


@pytest.fixture
def gcloud(served: FakeProject, tmp_path: Path) -> Iterator[RealGcloud]:
    """The real gcloud, which calls the project."""
    with running(tmp_path) as gcloud:
        yield gcloud


def one_of_each_kind(deployment: Plan) -> list[Words]:
    """Return one `describe` command of each kind, without those that need a lookup."""
    commands = [step.describe for step in deployment.steps if step.describe and "${" not in " ".join(step.describe)]
    kinds = {words[1:3]: words for words in commands}
    return list(kinds.values())


@pytest.mark.long
def test_gcloud_says_what_does_not_exist_and_what_cannot_be_read(
    small: Plan, served: FakeProject, gcloud: RealGcloud
) -> None:
    served.enabled.update(SERVICES)
    cloud = Cloud(small.lookups, runner=gcloud)
    commands = one_of_each_kind(small)
    assert len(commands) == 10

    assert [cloud.find(words) for words in commands] == [None] * len(commands)

    served.denied = {"*.get", "*.list"}
    for words in commands:
        with pytest.raises(CommandFailedError) as failed:
            cloud.find(words)
        assert not isinstance(failed.value, NotFoundError)


KEY = "projects/films/locations/us-central1/keyRings/films/cryptoKeys/models"


def with_everything(declaration: Declaration) -> Declaration:
    """Return a declaration with all features, and with a value for each field that has a flag of its own."""
    features = {name: each.model_copy(update={"enabled": True}) for name, each in declaration.features.items()}
    features["customer_keys"] = features["customer_keys"].model_copy(update={"keys": (KEY,)})
    batch = declaration.functions["submit_batch"].model_copy(
        update={"ingress": "internal-and-gclb", "callers": ("user:ada@example.com",)}
    )
    assert declaration.datasets is not None
    writable = declaration.datasets.writable.model_copy(update={"names": ("news", "films.more")})
    return declaration.model_copy(
        update={
            "features": features,
            "functions": {**declaration.functions, "submit_batch": batch},
            "datasets": declaration.datasets.model_copy(update={"writable": writable}),
            "alerts": declaration.alerts.model_copy(update={"emails": ("ada@example.com",)}),
        }
    )


def forms(deployment: Plan, document: Path) -> Iterator[Words]:
    """Yield one command for each combination of a command and flags in a plan."""
    commands = [words for step in deployment.steps for words in (step.create, step.update, step.describe, step.delete)]
    commands += [*deployment.lookups.values(), *(target.read() for target in deployment.targets)]
    commands += [words for each in deployment.listings for words in (each.list, each.delete)]
    commands += [step.grant.remove() for step in deployment.steps if step.grant]
    found: dict[tuple[str, ...], Words] = {}
    for words in commands:
        if words and words[0] == "gcloud":
            names = dict.fromkeys(placeholders(words), "projects/films/things/x")
            urls = {name: "https://x.a.run.app" for name in names if name.endswith("_URL")}
            values = {**names, **urls, DOCUMENT: str(document)}
            filled = fill(words, values)
            found.setdefault(
                (*words[:4], *(word.partition("=")[0] for word in words[4:] if word.startswith("--"))), filled
            )
    yield from found.values()


@pytest.mark.matrix
def test_gcloud_reads_every_command_of_a_plan_with_all_features(gcloud: RealGcloud, tmp_path: Path) -> None:
    document = tmp_path / "document.json"
    document.write_text("{}")
    deployment = plan(with_everything(read()), "films")

    refused = {}
    for words in forms(deployment, document):
        done = gcloud.parse(words)
        if done.returncode != 0:
            refused[words] = done.stderr
    assert refused == {}
    assert gcloud.parse(("gcloud", "pubsub", "topics", "create", "x", "--no-such-flag")).returncode != 0


def comparable(project: FakeProject) -> dict[str, dict[str, object]]:
    """Return the resources, without empty values, and without the fields and jobs that only gcloud fills completely."""
    skipped = ("buildConfig", "labels", "serviceConfig", "eventTrigger")
    return {
        name: {field: filled(value) for field, value in resource.items() if field not in skipped and filled(value)}
        for name, resource in project.resources.items()
        if not name.startswith("cloudscheduler/")
    }


def filled(value: object) -> object:
    """Return a value without the empty values in it, which gcloud does not send."""
    if isinstance(value, dict):
        return {name: filled(each) for name, each in value.items() if filled(each) not in ("", [], {})}
    return [filled(each) for each in value] if isinstance(value, list) else value


@pytest.mark.matrix
def test_gcloud_runs_every_command_of_the_checks(served: FakeProject, gcloud: RealGcloud) -> None:
    served.resources[f"cloudkms/{KEY}"] = {"purpose": "ENCRYPT_DECRYPT", "primary": {"state": "ENABLED"}}
    small = read_declaration(SAMPLE_FUNCTIONS / "small" / "deploy" / "functions.yaml")
    features = {
        "customer_keys": Feature(enabled=True, keys=(KEY,), key_roles=("roles/cloudkms.cryptoKeyEncrypterDecrypter",))
    }
    declaration = small.model_copy(update={"features": features})
    served.enabled.update(services(declaration))
    steps = plan(declaration, "films")

    findings = list(Checks(declaration, "films", steps, Cloud(steps.lookups, runner=gcloud)).run())

    assert {finding.status for finding in findings if finding.check != "quota of builds"} == {
        Status.OK,
        Status.BY_APPLY,
    }
    assert served.changes() == []


@pytest.mark.matrix
def test_gcloud_applies_applies_again_and_destroys(small: Plan, served: FakeProject, gcloud: RealGcloud) -> None:
    def cloud() -> Cloud:
        return Cloud(small.lookups, runner=gcloud)

    lines: list[str] = []
    apply(small, cloud(), lines.append)
    stand_in = FakeProject()
    apply(small, Cloud(small.lookups, runner=StandIn(stand_in)), lambda line: None)

    assert served.grants() == stand_in.grants()
    assert comparable(served) == comparable(stand_in)

    lines.clear()
    apply(small, cloud(), lines.append)

    assert {line.rpartition(": ")[2] for line in lines} == {"unchanged", "granted already", "done"}
    assert list(show_differences(small, cloud())) == []

    assert destroy(small, cloud(), with_data=True, report=lines.append) == []

    assert served.resources == {}
    assert not [member for _, _, member in served.grants() if "small-" in member]
    assert {call.service for call in served.calls} - {UPLOAD} <= set(SERVICES)


PERIMETER = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQ"
TAKEN = "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
HIDDEN = "You do not have storage.buckets.get access to the Google Cloud Storage bucket."
INGRESS = "Constraint constraints/cloudfunctions.allowedIngressSettings violated for projects/films."


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("permission", "error", "fix"),
    [
        ("pubsub.topics.get", ApiError(403, "PERMISSION_DENIED", PERIMETER), "an ingress rule for your account"),
        ("storage.buckets.get", ApiError(403, "FORBIDDEN", HIDDEN), "Declare another `name` for the bucket"),
        ("storage.buckets.create", ApiError(409, "ALREADY_EXISTS", TAKEN), "Declare another `name` for the bucket"),
        (
            "cloudfunctions.functions.create",
            ApiError(400, "FAILED_PRECONDITION", INGRESS),
            "Declare `ingress: internal-only`",
        ),
        ("iam.serviceAccounts.create", ApiError(403, "PERMISSION_DENIED", "No."), "deploy check --project films"),
    ],
)
def test_what_gcloud_prints_of_an_error_is_understood(
    small: Plan, served: FakeProject, gcloud: RealGcloud, permission: str, error: ApiError, fix: str
) -> None:
    served.errors[permission] = error

    with pytest.raises(CommandFailedError) as failed:
        apply(small, Cloud(small.lookups, runner=gcloud, patience=Patience(limit_seconds=0)), lambda line: None)

    assert fix in str(failed.value).splitlines()[-1]


@pytest.mark.matrix
@pytest.mark.parametrize("file", ["cloudbuild.yaml", "cloudbuild-test.yaml"])
def test_gcloud_submits_a_build_as_it_is_written(served: FakeProject, gcloud: RealGcloud, file: str) -> None:
    served.enabled.update(SERVICES)
    written = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    words = ("gcloud", "builds", "submit", "--region=us-central1", f"--config={file}", "--no-source", "--async")

    done = gcloud((*words, "--project=films", "--quiet"))

    assert done.returncode == 0, done.stderr
    [call] = served.called("cloudbuild.builds.create")
    assert [step["id"] for step in call.body["steps"]] == [step["id"] for step in written["steps"]]
    assert call.body["serviceAccount"] == written["serviceAccount"]
    assert call.body["options"]["logging"] == "CLOUD_LOGGING_ONLY"
