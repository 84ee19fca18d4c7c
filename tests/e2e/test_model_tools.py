"""A model is registered, deployed and asked to predict with Google's own tools, and the registry says what they say."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials

from tests.e2e.model_deeds import endpoints_named, one_version, registered, registry_id_of
from tests.e2e.world import REGION, World, fresh
from tests.waiting import LAST_LIMIT

Tool = Callable[..., Any]


def _tool(world: World, name: str, folder: Path) -> Tool:
    """Return a function that runs a command line tool of Google's, and returns its JSON, or its text if it prints another."""
    program = shutil.which(name)
    if program is None:
        pytest.skip("the Google Cloud SDK is not installed here; installing it runs this test")

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [program, *arguments],
            env={**world.shell(), "HOME": str(folder)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LAST_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    return run


@pytest.mark.long
def test_bq_registers_a_model_and_gcloud_deploys_it(world: World, tmp_path: Path) -> None:
    name = fresh("tools")
    one_version(world, name)
    _tool(world, "bq", tmp_path)(
        "update", "--model", f"--vertex_ai_model_id={registry_id_of(name)}", f"{world.dataset}.{name}"
    )

    gcloud = _tool(world, "gcloud", tmp_path)

    def ai(*arguments: str) -> Any:
        return gcloud("ai", *arguments, f"--region={REGION}", "--format=json")

    listed = ai("models", "list")
    assert registry_id_of(name) in [each["name"].rpartition("/")[2] for each in listed]
    model = ai("models", "describe", registry_id_of(name))
    assert (model["versionId"], model["modelSourceInfo"]["sourceType"]) == ("1", "BQML")

    ai("endpoints", "create", f"--display-name={name}")
    [endpoint] = ai("endpoints", "list", f"--filter=displayName={name}")
    number = endpoint["name"].rpartition("/")[2]
    ai(
        *("endpoints", "deploy-model", number, f"--model={registry_id_of(name)}", f"--display-name={name}"),
        *("--machine-type=n1-standard-2", "--traffic-split=0=100"),
    )
    [deployed] = ai("endpoints", "describe", number)["deployedModels"]
    (tmp_path / "request.json").write_text(json.dumps({"instances": [{"x": 1.0}]}))
    answer = ai("endpoints", "predict", number, "--json-request=request.json")
    [prediction] = answer["predictions"] if isinstance(answer, dict) else answer
    assert prediction == {"y": [2.0]} or prediction == {"y": 2.0}
    ai("endpoints", "undeploy-model", number, f"--deployed-model-id={deployed['id']}")
    ai("endpoints", "delete", number, "--quiet")
    assert endpoints_named(world, name) == []


def _init_sdk(world: World) -> None:
    from google.cloud import aiplatform

    aiplatform.init(
        project=world.project,
        location=REGION,
        api_endpoint=world.environment["VERTEX_ENDPOINT"],
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )


@pytest.mark.long
def test_the_sdk_of_vertex_ai_deploys_a_version_by_its_alias(world: World) -> None:
    from google.cloud import aiplatform

    name = fresh("sdk")
    registered(world, name)
    _init_sdk(world)
    registry = aiplatform.models.ModelRegistry(registry_id_of(name))
    registry.add_version_aliases(["champion"], version="1")
    assert [each.version_id for each in registry.list_versions()] == ["1"]
    model = registry.get_model("champion")
    assert sorted(model.version_aliases) == ["champion", "default"]
    assert model.resource_name in [each.resource_name for each in aiplatform.Model.list()]

    endpoint = model.deploy(machine_type="n1-standard-2", deployed_model_display_name=name)
    [deployed] = endpoint.list_models()
    assert endpoint.traffic_split == {deployed.id: 100}
    answer = endpoint.predict([{"x": 3.0}])
    assert (answer.deployed_model_id, answer.model_version_id) == (deployed.id, "1")
    [prediction] = answer.predictions
    assert prediction["y"] in (4.0, [4.0])
    endpoint.undeploy_all()
    endpoint.delete()
    assert aiplatform.Endpoint.list(filter=f'display_name="{endpoint.display_name}"') == []


@pytest.mark.long
def test_the_sdk_of_vertex_ai_uploads_copies_exports_and_deletes_versions(world: World) -> None:
    from google.cloud import aiplatform

    name = fresh("versions")
    registered(world, name)
    _init_sdk(world)
    mine = registry_id_of(name)
    model = aiplatform.Model(mine)
    with pytest.raises(exceptions.BadRequest, match="drop "):
        model.delete()

    uploaded = aiplatform.Model.upload(
        parent_model=model.resource_name,
        display_name=name,
        serving_container_image_uri="us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
        version_aliases=["container"],
        version_description="second",
        is_default_version=False,
    )
    assert (uploaded.version_id, uploaded.version_aliases) == ("2", ["container"])
    registry = model.versioning_registry
    assert [(each.version_id, each.version_description) for each in registry.list_versions()] == [
        ("2", "second"),
        ("1", ""),
    ]

    copied = model.copy("europe-west4", destination_model_id=f"{mine}_copy")
    assert (copied.resource_name.split("/")[3], copied.version_id) == ("europe-west4", "1")
    # The copy predicts, and goes on to do so after its origin was deleted.
    registry.delete_version("container")
    world.bigquery.delete_model(f"{world.dataset}.{name}")
    assert aiplatform.Model.list(filter=f"model={mine}") == []
    exported = copied.export_model("tf-saved-model", artifact_destination=f"gs://{world.models.name}/_exported/{name}")
    bucket, _, folder = exported["artifactOutputUri"].removeprefix("gs://").partition("/")
    names = {each.name.removeprefix(f"{folder}/") for each in world.storage.list_blobs(bucket, prefix=folder)}
    assert "saved_model.pb" in names
    endpoint = copied.deploy(machine_type="n1-standard-2")
    [prediction] = endpoint.predict([{"x": 3.0}]).predictions
    assert prediction["y"] in (4.0, [4.0])
    endpoint.delete(force=True)
    copied.delete()
    assert aiplatform.Model.list(filter=f"model={mine}_copy", location="europe-west4") == []
