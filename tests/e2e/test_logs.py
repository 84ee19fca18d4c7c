"""The functions log keys to find work by, and no content of messages, rows, manifests and credentials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.keys import hash_of
from tests.e2e.world import World, fresh
from tests.wrong_events import wrong_events

pytestmark = pytest.mark.long

SECRET = "Rumpelstiltskin"
EVENT_FUNCTIONS = ("import_model", "predict", "submit_batch_message", "poll_part", "manage_model")
# Not of submit_batch: this test does not send a refused HTTP request again.
STORM = [
    {"caller": caller, "rate": 0.3, "seed": seed, "do": {"status": 503}}
    for seed, caller in enumerate([*EVENT_FUNCTIONS, "poll_jobs"])
]
# The ledger cannot be written: the function does not accept the message.
NO_LEDGER = {"caller": "predict", "method": "storage.objects.insert", "times": 1, "do": {"status": 403}}


def send_everything(world: World) -> tuple[str, str]:
    """Send good and bad messages and drops that hold the secret; return the request ids of the good ones."""
    good, batch = fresh("good"), fresh("batch")
    text = f"SELECT x, '{SECRET}' AS note FROM {world.dataset}.numbers"
    world.ask("seven", good, good, input={"query": text})
    world.ask("seven", "bad", fresh("bad"), input={"query": f"SELECT x, '{SECRET}' AS note, FROM FROM numbers"})
    world.ask("seven", "bad", fresh("bad"), input={"query": f"SELECT ERROR('{SECRET}') AS x"})
    world.ask("seven", "bad", fresh("bad"), input={"query": f"SELECT CAST('{SECRET}' AS FLOAT64) AS x"})
    world.publish("PREDICT_TOPIC", {"request_id": fresh("bad"), SECRET: 1})
    world.publish("PREDICT_TOPIC", f"no JSON {SECRET}".encode())
    world.publish("MODELS_TOPIC", {"action": SECRET, "path": SECRET})
    world.publish("MODELS_TOPIC", f"no JSON {SECRET}".encode())
    prompts = {"prompts": {"query": f"SELECT 1 AS id, 'What is {SECRET}?' AS prompt", "system_instruction": SECRET}}
    world.publish("BATCH_TOPIC", world.batch(batch, batch, input=prompts))
    world.publish("BATCH_TOPIC", world.batch("bad", fresh("bad"), input={"prompts": {"query": f"SELEC '{SECRET}'"}}))
    assert world.post_batch({**world.batch("bad", fresh("bad")), SECRET: SECRET}).status_code == 400
    for function in EVENT_FUNCTIONS:
        for wrong, (headers, body) in wrong_events(SECRET).items():
            assert world.post_event(function, headers, body).status_code == 400, (function, wrong)
    world.drop({**world.shifter(1), "modeldrop.yaml": f"description: {SECRET}\n".encode()}, fresh("described"))
    world.drop({**world.shifter(1), "modeldrop.yaml": f"{SECRET}: [\n".encode()}, fresh("wrong"))
    world.drop({"model.onnx": f"no network {SECRET}".encode()}, fresh("broken"))
    return good, batch


@pytest.mark.parametrize("faults", [[NO_LEDGER], pytest.param(STORM, marks=pytest.mark.matrix)], ids=["calm", "storm"])
def test_logs_hold_keys_and_no_content_of_requests(impatient: World, faults: list[dict[str, Any]]) -> None:
    world = impatient
    with world.faults(*faults):
        good, batch = send_everything(world)
        world.delivered()
        assert sum(world.faults_met()) > 0
        world.until(lambda: not world.pending())
    world.delivered()
    world.quiet()

    logs = {file.stem: file.read_text(encoding="utf-8") for file in Path(world.cloud.data_dir, "logs").iterdir()}
    everything = "\n".join(logs.values())
    assert [row["note"] for row in world.rows(f"{world.dataset}.{good}")] == [SECRET] * 10
    assert hash_of("predict", "request", good) in everything
    assert hash_of("batch", "request", batch) in everything
    assert "rejected" in logs["predict"]
    assert faults != [NO_LEDGER] or "the request is not accepted" in logs["predict"]
    assert [name for name, log in logs.items() if SECRET.lower() in log.lower()] == []

    key = json.loads(Path(world.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text(encoding="utf-8"))
    assert key["private_key_id"] not in everything
    assert key["private_key"].splitlines()[1] not in everything
    assert "Bearer" not in everything
