"""The key file and its token endpoint, called directly and by Google's clients."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import google.auth
import pytest
import requests
from google.auth import jwt
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import Request
from google.cloud import aiplatform_v1, bigquery, storage
from google.oauth2 import service_account

from localcloud.base.clock import SystemClock
from localcloud.base.credentials import JWT_BEARER, Credentials
from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from tests.conftest import variables
from tests.waiting import LAST_LIMIT

ACCOUNT = "modeldrop-runtime@local-project.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def services() -> Iterator[LocalCloud]:
    """A local cloud without functions and tables."""
    services = LocalCloud(CloudConfig(with_functions=False, with_samples=False, with_schedules=False))
    services.start()
    yield services
    services.stop()


@pytest.fixture
def signed_in(services: LocalCloud) -> Iterator[LocalCloud]:
    with variables(services.environment()):
        yield services


def key_file(services: LocalCloud) -> Path:
    return Path(services.environment()["GOOGLE_APPLICATION_CREDENTIALS"])


def ask(services: LocalCloud, **claims: object) -> requests.Response:
    """Request a token with an assertion of ``claims`` signed with the key."""
    key = service_account.Credentials.from_service_account_file(str(key_file(services)))
    now = int(time.time())
    whole = {"iss": ACCOUNT, "aud": key._token_uri, "iat": now, "exp": now + 60, **claims}
    form = {"grant_type": JWT_BEARER, "assertion": jwt.encode(key.signer, whole).decode()}
    return requests.post(f"{services.addresses.http}/token", data=form, timeout=LAST_LIMIT)


def test_the_key_file_is_a_service_accounts_and_the_owners_only(services: LocalCloud) -> None:
    key = json.loads(key_file(services).read_text())
    assert (key["type"], key["project_id"], key["client_email"]) == ("service_account", "local-project", ACCOUNT)
    assert key["token_uri"] == f"{services.addresses.http}/token"
    assert stat.S_IMODE(key_file(services).stat().st_mode) == 0o600


def test_an_assertion_signed_with_the_key_gets_an_access_token(services: LocalCloud) -> None:
    token = ask(services, scope="https://www.googleapis.com/auth/cloud-platform").json()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600
    assert token["access_token"] != ask(services).json()["access_token"]


def test_an_identity_token_names_its_audience(services: LocalCloud) -> None:
    [(kind, token)] = ask(services, target_audience="https://function.example").json().items()
    claims = jwt.decode(token, verify=False)
    assert kind == "id_token"
    assert (claims["aud"], claims["email"]) == ("https://function.example", ACCOUNT)


def test_another_key_is_rejected(services: LocalCloud) -> None:
    stranger = Credentials(
        project="local-project", account="modeldrop-runtime", token_uri="http://x", clock=SystemClock()
    )
    signer = service_account.Credentials.from_service_account_info(stranger.key).signer
    now = int(time.time())
    assertion = jwt.encode(signer, {"iss": ACCOUNT, "iat": now, "exp": now + 60}).decode()
    form = {"grant_type": JWT_BEARER, "assertion": assertion}
    answer = requests.post(f"{services.addresses.http}/token", data=form, timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("claims", "error"),
    [({"exp": 1}, "invalid_grant"), ({"iss": "somebody@else.iam.gserviceaccount.com"}, "invalid_grant")],
)
def test_an_invalid_assertion_is_rejected(services: LocalCloud, claims: dict[str, object], error: str) -> None:
    answer = ask(services, **claims)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_another_grant_is_rejected(services: LocalCloud) -> None:
    answer = requests.post(f"{services.addresses.http}/token", data={"grant_type": "password"}, timeout=LAST_LIMIT)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_the_default_credentials_are_found_and_refreshed(signed_in: LocalCloud) -> None:
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert project == "local-project"
    credentials.refresh(Request())
    assert credentials.valid


def test_bigquery_signs_in(signed_in: LocalCloud) -> None:
    client = bigquery.Client()
    job = client.query("SELECT 1 AS n")
    assert [row["n"] for row in job.result()] == [1]
    assert client.get_job(job.job_id).user_email == ACCOUNT
    assert [row[0] for row in client.query("SELECT SESSION_USER()").result()] == [ACCOUNT]


def test_jobs_of_others_are_listed_on_request(signed_in: LocalCloud) -> None:
    client = bigquery.Client()
    mine = client.query("SELECT 1")
    mine.result()
    stranger = bigquery.Client(project="local-project", credentials=AnonymousCredentials())
    others = stranger.query("SELECT 2")
    others.result()
    assert others.user_email != mine.user_email
    listed = {job.job_id for job in client.list_jobs()}
    assert (mine.job_id in listed, others.job_id in listed) == (True, False)
    assert {mine.job_id, others.job_id} <= {job.job_id for job in client.list_jobs(all_users=True)}


def test_storage_signs_in_at_its_own_endpoint_too(signed_in: LocalCloud) -> None:
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    client = storage.Client(credentials=credentials, client_options={"api_endpoint": signed_in.addresses.http})
    assert signed_in.environment()["MODEL_BUCKET"] in {bucket.name for bucket in client.list_buckets()}


def test_vertex_signs_in_over_rest(signed_in: LocalCloud) -> None:
    client = aiplatform_v1.JobServiceClient(
        transport="rest", client_options={"api_endpoint": signed_in.environment()["VERTEX_ENDPOINT"]}
    )
    assert list(client.list_batch_prediction_jobs(parent="projects/local-project/locations/us-central1")) == []


def test_google_genai_signs_in(signed_in: LocalCloud) -> None:
    from google import genai

    client = genai.Client(vertexai=True, project="local-project", location="us-central1")
    answer = client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    assert answer.model_version is not None and "echo" in answer.model_version


def test_calls_without_credentials_are_accepted(services: LocalCloud) -> None:
    http, queries = services.addresses.http, f"{services.addresses.bigquery}/bigquery/v2/projects/local-project/queries"
    requests.get(f"{http}/storage/v1/b?project=local-project", timeout=LAST_LIMIT).raise_for_status()
    answer = requests.post(queries, json={"query": "SELECT 1", "useLegacySql": False}, timeout=LAST_LIMIT)
    assert answer.status_code == 200
