"""The declaration is read whole, and what cannot be meant is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.config import REPOSITORY
from localcloud.declaration import (
    DeclarationError,
    HttpTrigger,
    StorageTrigger,
    TopicTrigger,
    read_declaration,
)
from tests.paths import SAMPLE_FUNCTIONS

SMALL = SAMPLE_FUNCTIONS / "small" / "deploy" / "functions.yaml"


def test_the_projects_own_declaration_is_read() -> None:
    declaration = read_declaration(REPOSITORY / "deploy" / "functions.yaml", project="p")
    assert declaration.runtime_account == "modeldrop-runtime"
    assert declaration.buckets["model"].name == "p-modeldrop-models"
    assert declaration.topics["events"].hold == "modeldrop-events-log"
    assert declaration.retry.dead_letter_topic == "dead_letters"
    triggers = {name: function.trigger for name, function in declaration.functions.items()}
    assert triggers["import_model"] == StorageTrigger("google.cloud.storage.object.v1.finalized", "model")
    assert triggers["predict"] == TopicTrigger("predict")
    assert triggers["poll_jobs"] == HttpTrigger("POST")
    assert declaration.functions["predict"].signature_type == "cloudevent"
    assert declaration.functions["submit_batch"].signature_type == "http"
    assert declaration.schedules["poll"].function == "poll_jobs"
    assert declaration.schedules["poll"].name == "modeldrop-poll"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("region: us-central1", "regio: x", "`region` is missing"),
        ("{id: small-runtime}", "{}", "accounts: runtime: `id` is missing"),
        ("minimum_backoff_seconds: 10", "minimum_backoff_seconds: soon", "`minimum_backoff_seconds` cannot be 'soon'"),
        ("env: KEPT_BUCKET", "environ: KEPT_BUCKET", "buckets.kept: `env` is missing"),
        ("bucket: watched", "bucket: watchd", "keep_object: bucket `watchd` is not declared; there are: watched, kept"),
        ("function: keep_call", "function: keep_it", "schedules.call: function `keep_it` is not declared"),
        ("dead_letter_topic: dead", "dead_letter_topic: alive", "dead_letter_topic `alive` is not declared"),
        ("{http: POST}", "{https: POST}", "a trigger is one of `storage`, `topic` and `http`"),
        ("{http: POST}", "POST", "`trigger` cannot be 'POST'"),
        ("region: us-central1", "region: [", "is not YAML"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    text = SMALL.read_text()
    assert right in text
    path = tmp_path / "functions.yaml"
    path.write_text(text.replace(right, wrong))
    with pytest.raises(DeclarationError) as refused:
        read_declaration(path, project="p")
    assert told in str(refused.value)


def test_a_declaration_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="cannot be read"):
        read_declaration(tmp_path / "functions.yaml", project="p")
