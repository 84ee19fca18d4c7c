"""The messages, the SQL and the shell commands that the story shows."""

from __future__ import annotations

import json
import shlex
from typing import Any

from demo.names import model_bucket, topic
from examples.train_classifier import publishers
from localcloud.config import DEFAULT_PROJECT

Message = dict[str, Any]

NEWS = "bigquery-public-data.hacker_news.full"
DATASET = "bqml_tutorial"
MODEL = f"{DATASET}.imported_tf_model"
PREDICTIONS = f"{DATASET}.predictions"
PREDICT: Message = {
    "model": MODEL,
    "input": {"query": f"SELECT title AS input FROM `{NEWS}`"},
    "output": {"table": PREDICTIONS, "write": "truncate"},
    "request_id": "demo",
}
NIGHTLY: Message = {
    "model": MODEL,
    "input": {"table": NEWS, "columns": {"input": "title"}, "where": "score >= 10"},
    "output": {"table": f"{DATASET}.nightly", "write": "truncate"},
    "request_id": "nightly-{date}",
}

PROMPTS = "headlines"
PROMPTED_TITLES = 12
BATCH_LOCATION = "us-central1"
BATCH: Message = {
    "model": "gemini-3.8-flash",
    "input": {
        "prompts": {
            "query": 'SELECT id, title, CONCAT("Which of github, nytimes and techcrunch would publish: ", title) AS prompt '
            f"FROM {PROMPTS}.titles"
        },
        "system_instruction": "Answer with one word.",
        "generation_config": {"temperature": 0, "maxOutputTokens": 40},
    },
    "output": f"bq://{DEFAULT_PROJECT}.{PROMPTS}.answers",
    "request_id": "headlines",
}

# Compares the most probable of the three publishers with the publisher whose host is in the URL.
ACCURACY = f"""\
SELECT publisher, COUNT(*) AS titles, COUNTIF(guess = publisher) AS correct
FROM (
  SELECT
    REGEXP_EXTRACT(story.url, r'^https://([a-z]+)\\.example/') AS publisher,
    CASE (SELECT place FROM UNNEST(dense_1) AS share WITH OFFSET AS place ORDER BY share DESC LIMIT 1)
      {" ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(publishers()))}
    END AS guess
  FROM {PREDICTIONS} AS prediction
  JOIN `{NEWS}` AS story ON story.title = prediction.input
)
GROUP BY publisher
ORDER BY publisher"""


def commands(project: str, folder: str) -> str:
    """Return the shell commands that do the same on Google Cloud.

    Args:
        project: The id of a Google Cloud project.
        folder: The folder of the SavedModel.
    """
    batch = {**BATCH, "output": f"bq://{project}.{PROMPTS}.answers"}
    predict, nightly, prompts = (shlex.quote(json.dumps(message)) for message in (PREDICT, NIGHTLY, batch))
    return f"""\
gcloud config set project {project}
python -m deploy apply --project {project}
bq --location=US mk --dataset {DATASET}
gcloud storage cp --recursive {folder}/* gs://{model_bucket(project)}/{MODEL.replace(".", "/")}/1/
gcloud pubsub topics publish {topic("PREDICT_TOPIC").name} --message={predict}
bq query --use_legacy_sql=false 'SELECT dense_1, input FROM {PREDICTIONS} LIMIT 5'
bq --location={BATCH_LOCATION} mk --dataset {PROMPTS}
bq --location={BATCH_LOCATION} load --source_format=NEWLINE_DELIMITED_JSON --autodetect {PROMPTS}.titles titles.jsonl
gcloud pubsub topics publish {topic("BATCH_TOPIC").name} --message={prompts}
gcloud scheduler jobs create pubsub nightly-predictions --location={BATCH_LOCATION} --schedule='0 3 * * *' \\
    --topic={topic("PREDICT_TOPIC").name} --message-body={nightly}
gcloud pubsub subscriptions pull {topic("EVENTS_TOPIC").hold} --auto-ack --limit=10"""
