"""The story: train a model, drop it, predict with it, run a Gemini batch and a schedule, and show the events."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.cloud import bigquery

from demo.events import ReceivedEvent
from demo.messages import (
    ACCURACY,
    BATCH,
    BATCH_LOCATION,
    DATASET,
    MODEL,
    NEWS,
    NIGHTLY,
    PREDICT,
    PREDICTIONS,
    PROMPTED_TITLES,
    PROMPTS,
    commands,
)
from demo.names import topic
from demo.stage import Stage
from demo.world import StoryError, World
from examples.train_classifier import (
    CACHE,
    fingerprint,
    publishers,
    read_titles,
    saved_model,
)

# A random guess is right for one title in three; this classifier for about nine in ten.
LEAST_SHARE = 0.8
SHOWN = 5
EVENTS = {
    "modeldrop.model.imported.v1": 1,
    "modeldrop.prediction.succeeded.v1": 2,
    "modeldrop.batch.succeeded.v1": 1,
}


def show(stage: Stage, world: World) -> None:
    """Show the whole story; raise ``StoryError`` at the first step that fails."""
    _drop(stage, world, _train(stage))
    _predict(stage, world)
    _run_batch(stage, world)
    _schedule(stage, world)
    _show_events(stage, world)


def _train(stage: Stage) -> Path:
    stage.heading("1. A model")
    known = (CACHE / fingerprint()).is_dir()
    titles = len(read_titles("train"))
    training = (
        f"A model trained earlier on the same {titles} titles" if known else f"TensorFlow trains on {titles} titles"
    )
    with stage.working(f"{training} of {', '.join(publishers())}"):
        folder = saved_model()
    stage.say(f"A SavedModel: string input `input`, softmax output `dense_1`. It stays in {_relative(folder)}.")
    return folder


def _drop(stage: Stage, world: World, folder: Path) -> None:
    stage.heading("2. The drop")
    world.bigquery.create_dataset(DATASET, exists_ok=True)
    bucket = world.storage.bucket(world.environment["MODEL_BUCKET"])
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    uploaded = []
    with stage.working(f"Uploaded with google-cloud-storage to gs://{bucket.name}", total=len(files)) as report:
        for file in files:
            blob = bucket.blob(f"{MODEL.replace('.', '/')}/1/{file.relative_to(folder).as_posix()}")
            blob.upload_from_filename(str(file))
            uploaded.append((blob.name, f"{blob.size:,}", blob.generation))
            report(file.name)
    stage.table(["object", "bytes ", "generation"], uploaded)
    stage.say(
        "Every file sends an event to import_model, which waits until the drop is complete and no longer changes."
    )

    with stage.working("The drop settles, and BigQuery imports it") as report:
        event = world.wait_for("the import", lambda event: event.data["kind"] == "import", report)
    import_job = world.bigquery.get_job(event.job, location=event.data["job"]["location"])
    if not isinstance(import_job, bigquery.QueryJob):
        raise StoryError(f"The job {event.job} of the import is not a query.")
    imports = [job for job in world.bigquery.list_jobs() if "CREATE OR REPLACE MODEL" in getattr(job, "query", "")]
    if len(imports) != 1:
        raise StoryError(f"The drop was imported {len(imports)} times, not once.")
    stage.say(f"{len(files)} files, one job:")
    stage.code(import_job.query, "sql")
    stage.say(f"The event {event.type} says:")
    data = event.data
    fields = ("model", "model_type", "version", "fingerprint")
    columns = [(name, _columns(data[name])) for name in ("input_columns", "output_columns")]
    stage.table(["field", "value"], [(name, data[name]) for name in fields] + columns + [("job.id", event.job)])


def _predict(stage: Stage, world: World) -> None:
    stage.heading("3. Predictions")
    world.publish(world.environment["PREDICT_TOPIC"], json.dumps(PREDICT).encode())
    stage.say(f"One message to {topic('PREDICT_TOPIC').name}:")
    stage.code(json.dumps(PREDICT, indent=2), "json")
    with stage.working("BigQuery runs ML.PREDICT, with TensorFlow doing the work") as report:
        event = world.wait_for("the prediction", _is_about(PREDICT), report)
    table = world.bigquery.get_table(PREDICTIONS)
    stories = world.bigquery.get_table(NEWS).num_rows
    if not table.num_rows == event.data["rows_written"] == stories:
        raise StoryError(
            f"{PREDICTIONS} has {table.num_rows} rows, the event says {event.data['rows_written']}; expected {stories}."
        )
    stage.say(f"{table.num_rows} rows in {PREDICTIONS}, written by the job {event.job}:")
    rows = world.bigquery.query_and_wait(f"SELECT dense_1, input FROM {PREDICTIONS} LIMIT {SHOWN}")
    stage.table(
        [f"dense_1 ({', '.join(publishers())})", "input"],
        [("  ".join(f"{share:.4f}" for share in row["dense_1"]), row["input"]) for row in rows],
    )
    _show_accuracy(stage, world)


def _show_accuracy(stage: Stage, world: World) -> None:
    stage.say("No title of that table was used for training. The host of a story's URL names its publisher:")
    stage.code(ACCURACY, "sql")
    rows = list(world.bigquery.query_and_wait(ACCURACY))
    titles, correct = (sum(row[name] for row in rows) for name in ("titles", "correct"))
    share = correct / titles if titles else 0.0
    counted = [
        (row["publisher"], row["titles"], row["correct"], f"{row['correct'] / row['titles']:.1%}") for row in rows
    ]
    stage.table(["publisher", "titles ", "right ", "share "], [*counted, ("all", titles, correct, f"{share:.1%}")])
    if share < LEAST_SHARE:
        raise StoryError(f"Only {share:.1%} of the predictions are right; at least {LEAST_SHARE:.0%} should be.")


def _run_batch(stage: Stage, world: World) -> None:
    stage.heading("4. A batch for Gemini")
    dataset = bigquery.Dataset(f"{world.project}.{PROMPTS}")
    dataset.location = BATCH_LOCATION
    world.bigquery.create_dataset(dataset, exists_ok=True)
    titles = world.bigquery.query_and_wait(f"SELECT id, title FROM `{NEWS}` ORDER BY id LIMIT {PROMPTED_TITLES}")
    copies = [dict(row) for row in titles]
    stage.say(
        f"A Gemini batch reads and writes datasets of one region only, and `{NEWS}` is in the multi-region US. "
        f"The demo first copies {PROMPTED_TITLES} titles to the dataset {PROMPTS} in {BATCH_LOCATION}."
    )
    with stage.working(f"A load job writes {PROMPTS}.titles"):
        world.bigquery.load_table_from_json(copies, f"{PROMPTS}.titles", location=BATCH_LOCATION).result()

    stage.say("One POST to submit_batch:")
    stage.code(json.dumps(BATCH, indent=2), "json")
    answer = world.post(world.environment["SUBMIT_BATCH_URL"], BATCH)
    stage.say(f"The answer is 202: key {answer['key']}, state {answer['state']}.")
    with stage.working("A query builds the requests, and Vertex AI answers them") as report:
        event = world.wait_for("the batch", _is_about(BATCH), report)
    _show_answers(stage, world, event)


def _show_answers(stage: Stage, world: World, event: ReceivedEvent) -> None:
    rows = list(
        world.bigquery.query_and_wait(
            "SELECT title, status, JSON_VALUE(response, '$.modelVersion') AS version, "
            "JSON_VALUE(response, '$.candidates[0].content.parts[0].text') AS answer "
            f"FROM {PROMPTS}.answers ORDER BY id",
            location=BATCH_LOCATION,
        )
    )
    answered = sum(not row["status"] and bool(row["answer"]) for row in rows)
    if not answered == event.data["counts"]["succeeded"] == PROMPTED_TITLES:
        raise StoryError(
            f"{answered} of {PROMPTED_TITLES} requests were answered, and the event says {event.data['counts']}."
        )
    stage.say(f"{answered} rows in {PROMPTS}.answers:")
    stage.table(["title", "answer"], [(row["title"], row["answer"]) for row in rows[:SHOWN]])
    version = rows[0]["version"]
    stage.say(f"Their modelVersion is: {version}.")
    if "stand-in" in version:
        stage.say(
            "No language model was used: this project includes no weights, and the stand-in repeats the prompt. "
            "Everything else is real. GEMINI_BACKEND=openai:<base-url> uses a model of your own.",
            style="yellow",
        )


def _schedule(stage: Stage, world: World) -> None:
    stage.heading("5. Schedules and events")
    target = {
        "topicName": world.environment["PREDICT_TOPIC"],
        "data": base64.b64encode(json.dumps(NIGHTLY).encode()).decode(),
    }
    job = world.schedule("nightly-predictions", {"schedule": "0 3 * * *", "pubsubTarget": target})
    stage.say(
        "A job of Cloud Scheduler publishes this message every night. Its request_id contains the date, so it runs once a day:"
    )
    stage.code(json.dumps(NIGHTLY, indent=2), "json")
    world.run_scheduled(job)
    with stage.working("The job runs now, for the first time") as report:
        first = world.wait_for("the scheduled prediction", _is_about(NIGHTLY), report)
    world.wait_until_done()
    seen = len(world.events.all())
    world.run_scheduled(job)
    with stage.working("The job runs now, for the second time") as report:
        second = world.wait_for("the repeated prediction", _is_about(NIGHTLY), report, after=seen)
    if (first.id, first.job) != (second.id, second.job):
        raise StoryError(f"The repeated message led to a second prediction: {second.job} after {first.job}.")
    stage.say(
        f"Two messages, one job, {first.data['rows_written']} rows: the repeat leads to the same event with the same ce-id."
    )
    stage.table(
        ["job of Cloud Scheduler", "schedule", "calls", "last run"],
        [
            (each["name"].rpartition("/")[2], each["schedule"], _target(each), each.get("lastAttemptTime", ""))
            for each in world.scheduled_jobs()
        ],
    )


def _show_events(stage: Stage, world: World) -> None:
    events = world.events.all()
    stage.say(f"Every event on the topic {topic('EVENTS_TOPIC').name}, after {world.polls} calls of the poller:")
    stage.table(
        ["ce-type", "outcome", "ce-subject", "job", "ce-id"],
        [
            (event.type, event.data["outcome"], _brief(event.subject), _brief(event.job), _brief(event.id))
            for event in events
        ],
    )
    # An event may be delivered more than once, always with the same ce-id.
    counts = Counter({event.id: event.type for event in events}.values())
    if counts != EVENTS:
        raise StoryError(f"The events are {dict(counts)}; expected {EVENTS}.")


def show_real_project(stage: Stage) -> None:
    """Show how to do the same on Google Cloud."""
    stage.heading("The same on Google Cloud")
    stage.say("Log in to gcloud as an owner of the project. The real table has tens of millions of titles:")
    stage.code(commands("my-project", str(_relative(CACHE / fingerprint()))), "bash")
    stage.say("docs/deploy.md describes what is deployed; `python -m deploy destroy` removes it.")


def _is_about(message: dict[str, Any]) -> Callable[[ReceivedEvent], bool]:
    """Return a test for events about ``message``, whose request_id may contain ``{date}``."""
    prefix = message["request_id"].removesuffix("{date}")
    return lambda event: str(event.data["request_id"]).startswith(prefix)


def _columns(columns: list[dict[str, Any]]) -> str:
    return ", ".join(f"{column['name']} {column['type']}" for column in columns)


def _target(job: dict[str, Any]) -> str:
    return str(job["pubsubTarget"]["topicName"] if "pubsubTarget" in job else job["httpTarget"]["uri"])


def _brief(name: str) -> str:
    """Return the last part of a long name, with the hash cut to its first characters."""
    kind, slash, rest = name.rpartition("/")
    first, dash, step = rest.partition("-")
    kind = kind.rpartition("/")[2]
    return f"{kind}{slash}{first[:8]}{'…' if len(first) > 8 else ''}{dash}{step}"


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
