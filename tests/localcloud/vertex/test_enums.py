"""The enums of Vertex AI against Google's client library."""

from __future__ import annotations

from google.cloud import aiplatform_v1 as api

from localcloud.vertex.base.enums import ENUMS, JOB_STATES


def test_enums_have_googles_numbers() -> None:
    official = {
        "state": api.JobState,
        "finishReason": api.Candidate.FinishReason,
        "modality": api.Modality,
        "sourceType": api.ModelSourceInfo.ModelSourceType,
        "supportedDeploymentResourcesTypes": api.Model.DeploymentResourcesType,
    }
    assert official.keys() == ENUMS.keys()
    assert ENUMS["state"] == JOB_STATES
    for field_name, enum in official.items():
        assert {name: number for number, name in enumerate(ENUMS[field_name])} == {
            member.name: member.value for member in enum
        }
