"""A project in a bad mood: every error ends in words that say what is wrong and what would be right, or passes by itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deploy.applying.advice import KNOWN, advise
from deploy.applying.cloud import CommandFailedError
from tests.control_plane.errors import ApiError, already_exists, denied, not_found, service_disabled
from tests.unit.deploy.conftest import Deployer

DENIED = 403, "PERMISSION_DENIED"
INVALID = 400, "INVALID_ARGUMENT"
FAILED = 400, "FAILED_PRECONDITION"
DEPLOY = "cloudfunctions.functions.create"

# What fails, with Google's words, what is said about it, and what would be right.
LASTING: dict[str, tuple[str, ApiError, str, str]] = {
    "an expired login": (
        "storage.buckets.get",
        ApiError(
            401,
            "UNAUTHENTICATED",
            "There was a problem refreshing your current auth tokens: Reauthentication failed. cannot prompt during "
            "non-interactive execution.",
        ),
        "The login of gcloud has expired",
        "gcloud auth login",
    ),
    "a perimeter": (
        "pubsub.topics.get",
        ApiError(*DENIED, "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQnKf"),
        "A perimeter of VPC Service Controls refuses the call.",
        "an ingress rule for your account",
    ),
    "a perimeter around storage": (
        "storage.buckets.get",
        ApiError(*DENIED, "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQnKf"),
        "A perimeter of VPC Service Controls refuses the call.",
        "an ingress rule for your account",
    ),
    "a policy against public ingress": (
        DEPLOY,
        ApiError(
            *FAILED,
            "Constraint constraints/cloudfunctions.allowedIngressSettings violated for projects/films attempting "
            "CreateFunction with ingress_settings set to ALLOW_ALL.",
        ),
        "An organization policy does not allow modeldrop-import-model to take requests from everywhere.",
        "Declare `ingress: internal-only` for the function in deploy/functions.yaml",
    ),
    "a policy of locations": (
        "storage.buckets.create",
        ApiError(412, "CONDITION_NOT_MET", "'us-central1' violates constraint 'constraints/gcp.resourceLocations'"),
        "An organization policy does not allow resources in the declared region.",
        "gcloud org-policies describe gcp.resourceLocations --effective --project=films",
    ),
    "a policy against accounts": (
        "iam.serviceAccounts.create",
        ApiError(
            *FAILED,
            "Service account creation is not allowed on this project. constraints/iam.disableServiceAccountCreation",
        ),
        "An organization policy forbids to create service accounts.",
        "the commands that `plan` prints",
    ),
    "a policy of domains": (
        "pubsub.topics.setIamPolicy",
        ApiError(
            *FAILED,
            "One or more users named in the policy do not belong to a permitted customer, perhaps due to an organization "
            "policy.",
        ),
        "gives roles to members of some domains only",
        "Remove the member from `publishers`",
    ),
    "a policy that requires keys": (
        "pubsub.topics.create",
        ApiError(*FAILED, "Constraint constraints/gcp.restrictNonCmekServices violated for projects/films."),
        "An organization policy requires a key of Cloud KMS for modeldrop-predict.",
        "Create it with a key under this name",
    ),
    "any other policy": (
        "serviceusage.services.enable",
        ApiError(*FAILED, "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint."),
        "An organization policy forbids this.",
        "gcloud org-policies describe gcp.restrictServiceUsage --effective --project=films",
    ),
    "a taken name of a bucket": (
        "storage.buckets.create",
        ApiError(
            409,
            "ALREADY_EXISTS",
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please "
            "select a different name and try again.",
        ),
        "The name of the bucket belongs to another project",
        "Declare another `name` for the bucket in deploy/functions.yaml.",
    ),
    "a bucket of others": (
        "storage.buckets.get",
        ApiError(
            403,
            "FORBIDDEN",
            "ada@example.com does not have storage.buckets.get access to the Google Cloud Storage bucket. Permission "
            "'storage.buckets.get' denied on resource (or it may not exist).",
        ),
        "It is another project's, unless you lack rights here.",
        "Declare another `name` for the bucket in deploy/functions.yaml",
    ),
    "no billing account": (
        "serviceusage.services.enable",
        ApiError(
            *FAILED,
            "Billing account for project '4242' is not found. Billing must be enabled for activation of service(s) "
            "'artifactregistry.googleapis.com' to proceed.",
        ),
        "The project has no billing account",
        "gcloud billing projects link films --billing-account=ACCOUNT",
    ),
    "a deleted project": (
        "serviceusage.services.enable",
        ApiError(*DENIED, "Project #4242 has been deleted."),
        "The project is being deleted.",
        "gcloud projects undelete films",
    ),
    "a small quota of CPUs": (
        DEPLOY,
        ApiError(
            *INVALID,
            "Could not create Cloud Run service modeldrop-import-model. Max instances must be set to 4 or fewer to set the "
            "requested total CPU. Quota violated: CpuAllocPerProjectRegion requested: 10000 allowed: 4000",
        ),
        "modeldrop-import-model may use more CPUs than Cloud Run allows the project in the region.",
        "Declare `maximum_instances: 4` or less",
    ),
    "a build that fails": (
        DEPLOY,
        ApiError(*FAILED, "Build failed with status: FAILURE and message: No matching distribution found for nothing."),
        "The source could not be built.",
        "gcloud builds list --region=us-central1 --project=films",
    ),
    "a role of the build's account that stays away": (
        DEPLOY,
        ApiError(
            *FAILED,
            "Build failed with status: FAILURE. Could not build the function due to a missing permission on the build service "
            "account.",
        ),
        "The account of builds lacks a role.",
        "see that no organization policy takes them away",
    ),
    "a function that does not start": (
        DEPLOY,
        ApiError(
            *FAILED,
            "Could not create or update Cloud Run service modeldrop-import-model, Container Healthcheck failed. The "
            "user-provided container failed to start and listen on the port defined provided by the PORT=8080 variable.",
        ),
        "modeldrop-import-model was built and does not start.",
        "gcloud functions logs read modeldrop-import-model --region=us-central1 --project=films",
    ),
    "an outage": (
        "cloudscheduler.jobs.get",
        ApiError(500, "INTERNAL", "Internal error encountered."),
        "The service does not answer as it should.",
        "https://status.cloud.google.com",
    ),
    "a region that does not exist": (
        DEPLOY,
        ApiError(403, "PERMISSION_DENIED", "Permission denied on 'locations/us-central1' (or it may not exist)."),
        "Cloud Functions has no region us-central1, or not for this project.",
        "gcloud functions regions list --project=films",
    ),
    "a quota that stays used up": (
        "run.services.getIamPolicy",
        ApiError(
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded for quota metric 'Read requests' of service 'run.googleapis.com'.",
        ),
        "A quota of the project is used up",
        "https://console.cloud.google.com/iam-admin/quotas?project=films",
    ),
    "a topic that somebody else creates meanwhile": (
        "pubsub.topics.create",
        already_exists("projects/films/topics/modeldrop-predict"),
        "modeldrop-predict was not there a moment ago and exists now",
        "Run the command again",
    ),
    "a topic that is deleted meanwhile": (
        "pubsub.topics.setIamPolicy",
        not_found("projects/films/topics/modeldrop-dead-letters"),
        "Something that the command needs does not exist",
        "python -m deploy plan --diff --project films",
    ),
    "the policy of a bucket that may not be read": (
        "storage.buckets.getIamPolicy",
        denied("storage.buckets.getIamPolicy", "gs://films-modeldrop-models"),
        "You lack a permission.",
        "python -m deploy check --project films",
    ),
    "a right that is missing": (
        "pubsub.topics.create",
        denied("pubsub.topics.create", "projects/films/topics/modeldrop-predict"),
        "You lack a permission.",
        "python -m deploy check --project films",
    ),
}


@pytest.mark.parametrize("mood", LASTING)
def test_an_error_says_what_is_wrong_where_and_what_would_be_right(deployer: Deployer, mood: str) -> None:
    permission, error, meaning, fix = LASTING[mood]
    deployer.project.errors[permission] = error

    with pytest.raises(CommandFailedError) as failed:
        deployer.apply()

    command, *_, wrong, right = str(failed.value).splitlines()
    assert command.startswith("gcloud ")
    assert str(error) in str(failed.value)
    assert wrong.startswith("What is wrong: ") and meaning in wrong
    assert right.startswith("What to do: ") and fix in right


def test_every_known_error_of_a_service_has_a_mood() -> None:
    texts = [f"{error.status}: {error}" for _, error, *_ in LASTING.values()]
    seen = [next(known for known in KNOWN if re.search(known.pattern, text)) for text in texts]

    assert [known.meaning for known in KNOWN if known not in seen] == [
        "There is no such key. BigQuery uses a key only in the location of its dataset.",
        "Google Cloud cannot be reached.",
    ]


def test_a_key_that_does_not_exist_in_its_location_is_named(deployer: Deployer) -> None:
    key = "projects/keys/locations/europe-west1/keyRings/films/cryptoKeys/models"
    features = deployer.declaration.features
    keys = features["customer_keys"].model_copy(update={"enabled": True, "keys": (key,)})
    deployer.change(features={**features, "customer_keys": keys})

    with pytest.raises(CommandFailedError) as failed:
        deployer.apply()

    assert key in str(failed.value)
    assert "What is wrong: There is no such key." in str(failed.value)


@pytest.mark.parametrize(
    "error",
    [
        "HTTPSConnectionPool: Failed to establish a new connection: [Errno -2] Name or service not known",
        "Unable to find the server at pubsub.googleapis.com",
    ],
)
def test_a_network_that_is_down_is_named(error: str) -> None:
    advice = advise(f"ERROR: gcloud crashed (ConnectionError): {error}", ("gcloud", "pubsub", "topics", "list"))

    assert advice is not None
    assert advice.meaning == "Google Cloud cannot be reached."


# What fails once, with Google's words, and what is awaited.
PASSING: dict[str, tuple[str, ApiError, str]] = {
    "an API that is enabled while a call runs": (
        "pubsub.topics.get",
        service_disabled("pubsub.googleapis.com", "Cloud Pub/Sub API", "4242"),
        "the API is enabled everywhere",
    ),
    "a quota of a minute": (
        "pubsub.topics.create",
        ApiError(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Administrator operations'."),
        "the quota of this minute is free again",
    ),
    "a quota of Cloud Storage": (
        "storage.buckets.setIamPolicy",
        ApiError(429, "", "The project exceeded the rate limit for creating and deleting buckets."),
        "the quota of this minute is free again",
    ),
    "a quota of Cloud Functions": (
        DEPLOY,
        ApiError(429, "", "Write requests of this minute."),
        "the quota of this minute is free again",
    ),
    "another deployment": (
        DEPLOY,
        ApiError(409, "ABORTED", "unable to queue the operation"),
        "another deployment of the function has ended",
    ),
    "a role of the build's account that has not taken effect": (
        DEPLOY,
        ApiError(
            *FAILED,
            "Build failed with status: FAILURE. Could not build the function due to a missing permission on the build service "
            "account.",
        ),
        "the roles of the account of builds take effect",
    ),
    "a service that does not answer": (
        "storage.buckets.create",
        ApiError(503, "UNAVAILABLE", "We encountered an internal error. Please try again."),
        "the service answers again",
    ),
}


@pytest.mark.parametrize("mood", PASSING)
def test_an_error_that_passes_is_waited_for(deployer: Deployer, mood: str) -> None:
    permission, error, awaited = PASSING[mood]
    deployer.project.passing[permission] = [error, error]

    deployer.apply()

    assert len([line for line in deployer.lines if f"waits until {awaited};" in line]) == 2
    assert deployer.differences() == []


def functions(deployer: Deployer) -> dict[str, Any]:
    prefix = "cloudfunctions/projects/films/locations/us-central1/functions/"
    return {
        name.removeprefix(prefix): each for name, each in deployer.project.resources.items() if name.startswith(prefix)
    }


def test_a_half_made_function_is_deployed_again(deployer: Deployer) -> None:
    deployer.project.build_failures = {"modeldrop-predict"}
    with pytest.raises(CommandFailedError, match="The source could not be built"):
        deployer.apply()
    assert functions(deployer)["modeldrop-predict"]["state"] == "FAILED"
    deployer.project.build_failures = set()
    assert "~ function predict: state is FAILED, declared ACTIVE" in deployer.differences()

    deployer.apply()

    assert {each["state"] for each in functions(deployer).values()} == {"ACTIVE"}
    assert deployer.differences() == []


RUNTIME = "modeldrop-runtime@films.iam.gserviceaccount.com"


def test_an_account_that_was_deleted_gets_its_roles_again_and_leaves_none(applied: Deployer) -> None:
    before = applied.project.grants()
    del applied.project.resources[f"iam/projects/films/serviceAccounts/{RUNTIME}"]
    for policy in applied.project.policies.values():
        for binding in policy["bindings"]:
            binding["members"] = [
                f"deleted:{member}?uid=123456789012345678901" if member.endswith(f":{RUNTIME}") else member
                for member in binding["members"]
            ]

    applied.apply()

    assert applied.project.grants() == before
    assert applied.differences() == []


@pytest.mark.parametrize(
    ("name", "fields", "shown"),
    [
        (
            "topics/modeldrop-predict",
            {"schemaSettings": {"schema": "projects/films/schemas/orders", "encoding": "JSON"}},
            "topic modeldrop-predict: schemaSettings.schema is projects/films/schemas/orders, declared ",
        ),
        (
            "subscriptions/modeldrop-dead-letters-hold",
            {"pushConfig": {"pushEndpoint": "https://example.com"}},
            "messages of modeldrop-dead-letters: pushConfig.pushEndpoint is https://example.com, declared ",
        ),
    ],
)
def test_what_would_refuse_or_lose_messages_is_taken_away(
    applied: Deployer, name: str, fields: dict[str, Any], shown: str
) -> None:
    applied.project.resources[f"pubsub/projects/films/{name}"].update(fields)
    assert [line for line in applied.differences() if shown in line]

    applied.apply()

    assert applied.differences() == []


@pytest.mark.parametrize("fields", [{"filter": 'attributes.a = "b"'}, {"detached": True}])
def test_a_subscription_that_does_not_hold_messages_is_named(applied: Deployer, fields: dict[str, Any]) -> None:
    applied.project.resources["pubsub/projects/films/subscriptions/modeldrop-events-log"].update(fields)

    with pytest.raises(CommandFailedError, match=r"modeldrop-events-log.*and this cannot be changed.* delete it"):
        applied.apply()


def test_an_unknown_error_is_printed_as_it_is() -> None:
    assert advise("ERROR: (gcloud.pubsub) INVALID_ARGUMENT: something new", ("gcloud", "pubsub")) is None
