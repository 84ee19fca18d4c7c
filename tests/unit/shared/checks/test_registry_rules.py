"""The rules of the model registry: where models are registered, and which ones cannot be."""

from __future__ import annotations

import pytest

from shared.checks.registry_rules import check_can_deploy, check_can_register, registry_location
from shared.errors import Rejected


@pytest.mark.parametrize(
    ("dataset", "registry"),
    [("US", "us-central1"), ("EU", "europe-west4"), ("us-east1", "us-east1"), ("europe-west2", "europe-west2")],
)
def test_multi_regions_have_the_registry_of_one_region(dataset: str, registry: str) -> None:
    assert registry_location(dataset) == registry


def test_a_model_can_be_registered_again_under_its_own_id() -> None:
    check_can_register("p.d.m", "genres", is_remote=False, registered_as=None)
    check_can_register("p.d.m", "genres", is_remote=False, registered_as="genres")


@pytest.mark.parametrize(
    ("is_remote", "registered_as", "code"), [(True, None, "remote_model"), (False, "other", "registered_before")]
)
def test_a_model_that_cannot_be_registered_is_rejected(is_remote: bool, registered_as: str | None, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_can_register("p.d.m", "genres", is_remote=is_remote, registered_as=registered_as)
    assert refusal.value.problem.code == code


@pytest.mark.parametrize("model_type", ["XGBOOST", "ARIMA_PLUS", "ARIMA_PLUS_XREG"])
def test_a_type_that_cannot_be_deployed_is_rejected_with_the_field_that_asks_for_it(model_type: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_can_deploy("p.d.m", model_type, field="modeldrop.yaml.deploy")
    assert (refusal.value.problem.code, refusal.value.problem.field) == ("not_deployable", "modeldrop.yaml.deploy")


@pytest.mark.parametrize("model_type", ["TENSORFLOW", "ONNX", "TENSORFLOW_LITE", "LOGISTIC_REGRESSION", None])
def test_other_types_can_be_deployed(model_type: str | None) -> None:
    check_can_deploy("p.d.m", model_type, field="model")
