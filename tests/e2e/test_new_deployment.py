"""In a new deployment, work that is refused because a right or an account is missing waits, and is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.deeds import ask, check_batch, check_prediction, post_requests, publish_requests
from tests.e2e.world import World, fresh

JOBS = "aiplatform.projects.locations.batchPredictionJobs"
CREATE_BATCH = f"{JOBS}.create"
# As Vertex AI says it: https://cloud.google.com/vertex-ai/docs/general/access-control#service-agents
NO_AGENTS = (
    "Service agents are being provisioned (https://cloud.google.com/vertex-ai/docs/general/access-control#service-agents). "
    "Service agents are needed to read the Cloud Storage file provided. So please try again in a few minutes."
)
DENIED = {"status": 403, "reason": "accessDenied"}


@pytest.mark.long
@pytest.mark.parametrize("nth", [1, 2], ids=["dry run", "job"])
def test_a_prediction_that_is_denied_waits_for_its_right(new_deployment: World, nth: int) -> None:
    name = fresh("denied")
    denied = {"caller": "predict", "method": "bigquery.jobs.insert", "nth": nth, "do": DENIED}
    with new_deployment.faults(denied):
        ask(new_deployment, name)
        new_deployment.delivered()
        assert new_deployment.faults_met() == [1]
    item = new_deployment.item("predict", "request", name)
    assert item is not None
    assert item["outcome"] is None
    new_deployment.quiet()
    check_prediction(new_deployment, name)


@pytest.mark.long
def test_a_job_that_is_denied_is_run_again(new_deployment: World) -> None:
    name = fresh("denied")
    with new_deployment.faults({"method": "bigquery.jobs.run", "times": 1, "do": DENIED}):
        ask(new_deployment, name)
        new_deployment.quiet()
    check_prediction(new_deployment, name, jobs=2)


@pytest.mark.long
@pytest.mark.parametrize("refusal", [{"status": 400, "message": NO_AGENTS}, {"status": 403}], ids=["agents", "right"])
def test_a_batch_that_is_refused_waits(new_deployment: World, refusal: dict[str, Any]) -> None:
    name = fresh("refused")
    with new_deployment.faults({"method": CREATE_BATCH, "nth": 1, "do": refusal}):
        publish_requests(new_deployment, name)
        new_deployment.quiet()
    check_batch(new_deployment, name)


@pytest.mark.long
def test_a_batch_job_that_failed_for_a_missing_right_is_run_again(new_deployment: World) -> None:
    name = fresh("denied")
    unseen = [{"caller": "poll_jobs", "method": f"{JOBS}.{verb}", "do": {"status": 503}} for verb in ("get", "list")]
    with new_deployment.faults(*unseen):
        post_requests(new_deployment, name)
        item = new_deployment.item("batch", "request", name)
        assert item is not None
        (job,) = new_deployment.until(lambda: new_deployment.batches(item["key"]))
        denied = {"code": 7, "message": "The Vertex AI service agent may not read the table."}
        new_deployment.cloud.vertex.force_state(job["name"], "JOB_STATE_FAILED", denied)
    new_deployment.quiet()

    states = [each["state"] for each in new_deployment.batches(item["key"])]
    assert sorted(states) == ["JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]
    # An event may come twice, under one id.
    events = {event.id: event.type for event in new_deployment.events.all(request_id=name)}
    assert list(events.values()) == ["modeldrop.batch.succeeded.v1"]
    assert len(new_deployment.rows(f"{new_deployment.regional}.{name}")) == 3
