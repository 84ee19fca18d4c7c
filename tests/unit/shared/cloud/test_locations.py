"""The locations of Vertex AI: what is one, its host, and where a dataset for it is created."""

from __future__ import annotations

import pytest

from shared.cloud.locations import check_location, dataset_location, host_of, is_region, location_in
from shared.cloud.vertex import model_problem
from shared.errors import Rejected


@pytest.mark.parametrize(
    ("location", "host", "region", "dataset"),
    [
        ("global", "aiplatform.googleapis.com", False, "us-central1"),
        ("us", "aiplatform.us.rep.googleapis.com", False, "us-central1"),
        ("eu", "aiplatform.eu.rep.googleapis.com", False, "europe-west4"),
        ("us-central1", "us-central1-aiplatform.googleapis.com", True, "us-central1"),
        (
            "northamerica-northeast1",
            "northamerica-northeast1-aiplatform.googleapis.com",
            True,
            "northamerica-northeast1",
        ),
    ],
)
def test_each_location_has_its_host(location: str, host: str, region: bool, dataset: str) -> None:
    assert check_location(location, "location") == location
    assert (host_of(location), is_region(location), dataset_location(location)) == (host, region, dataset)


@pytest.mark.parametrize(
    "text", ["US", "global ", "us-central", "us_central1", "moon", "us-central1.evil.com", "a/b", ""]
)
def test_another_text_is_no_location(text: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_location(text, "location")
    assert refusal.value.problem.field == "location"
    assert ("did you mean us?" in refusal.value.problem.message) is (text == "US")


def test_the_location_of_a_job_is_in_its_name() -> None:
    assert location_in("projects/7/locations/eu/batchPredictionJobs/8") == "eu"
    assert location_in("publishers/google/models/gemini-3.8-flash") is None


def test_a_missing_model_is_explained_in_plain_words() -> None:
    text = "Publisher Model `projects/p/locations/global/publishers/google/models/gemini-1` was not found."
    problem = model_problem(text, "publishers/google/models/gemini-1", "global")
    assert problem is not None
    assert (problem.code, problem.field) == ("model_not_found", "model")
    assert "retired, unknown, or not served" in problem.message
    assert "gemini-3.8-flash" in problem.message


@pytest.mark.parametrize(
    ("model", "served"),
    [("gemini-embedding-001", "gemini-embedding-2"), ("text-embedding-003", "text-embedding-005")],
)
def test_a_missing_embedding_model_is_explained_with_another_embedding_model(model: str, served: str) -> None:
    problem = model_problem(f"Publisher Model `{model}` was not found.", model, "global")
    assert problem is not None
    assert f"such as {served}, and" in problem.message


def test_another_refusal_is_not_about_the_model() -> None:
    text = "Dataset p:d was not found in location US"
    assert model_problem(text, "publishers/google/models/gemini-3.8-flash", "global") is None
