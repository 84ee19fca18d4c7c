"""Reads the answers of a batch in Cloud Storage: whether that is needed, where the lines are loaded, and the step that does so.

A job writes its answers into a folder. They are read only if something depends on them: rows to send again, further parts,
or typed results.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.batch_work import BatchFacts
from shared.batches.files import ANSWER_FILES, bucket_location, check_unchanged
from shared.batches.lines.statements import load_lines
from shared.batches.next_steps import loads_lines
from shared.batches.output.places import facts_of, table_of
from shared.batches.request import BatchRequest
from shared.checks.access import check_writable
from shared.checks.identifiers import DatasetName, TableName
from shared.cloud.locations import dataset_location, is_region
from shared.cloud.query_jobs import Query
from shared.engine.services import Services
from shared.errors import Rejected
from shared.settings import Settings
from shared.work import Item, Step


def must_read(facts: BatchFacts, request: BatchRequest) -> bool:
    """Return whether the next step of a batch depends on the answers of the job that has ended."""
    assert facts.result is not None
    if facts.rounds or facts.parts > 1 or request.results is not None:
        return True
    missing = (facts.result.failed or 0) + (facts.result.incomplete or 0)
    return missing > 0 and request.retries > 0 and not facts.cancelling


def may_write(dataset: DatasetName, settings: Settings) -> bool:
    """Return whether Modeldrop may create tables in a dataset."""
    try:
        check_writable(dataset.project, dataset.dataset, settings, "output")
    except Rejected:
        return False
    return True


def lines_location(dataset: DatasetName, request: BatchRequest, services: Services) -> str | None:
    """Return the location of the dataset into which lines are loaded, or where it will be created.

    Args:
        dataset: The dataset.
        request: The request.
        services: The services of this process.

    Returns:
        The location; None if it is not that of the table of the input, or not the region in which the batch runs, so that
        requests from there could not be sent again.

    Raises:
        TryLater: BigQuery did not answer.
    """
    wanted: str | None = request.location if is_region(request.location) else None
    if isinstance(request.input, TableName):
        wanted = services.bigquery.location_of(request.input.dataset_name, "input")
    try:
        location = services.bigquery.location_of(dataset)
    except Rejected as error:
        missing = error.problem.code == "notFound"
        return (wanted or dataset_location(request.location)) if missing else None
    return location if wanted is None or location.lower() == wanted.lower() else None


def may_load(uris: Iterable[str], location: str, *, unknown: bool) -> bool:
    """Return whether BigQuery loads files into datasets of a location, by the locations of their buckets.

    https://docs.cloud.google.com/bigquery/docs/batch-loading-data#data-locations

    Args:
        uris: The files.
        location: The location of the dataset.
        unknown: What to return if the location of a bucket may not be known.
    """
    wanted = location.lower()
    for bucket in dict.fromkeys(uri.removeprefix("gs://").partition("/")[0] for uri in uris):
        found = bucket_location(f"gs://{bucket}")
        if found is None:
            return unknown
        within = (found == "us" and wanted.startswith("us-")) or (found == "eu" and wanted.startswith("europe-"))
        if not (found == wanted or wanted == "us" or within):
            return False
    return True


def with_reason(item: Item, services: Services) -> Item:
    """Return an item whose rows may be sent again with the reason for which lines of its files cannot be, if there is one.

    Answers in a table are moved all the same, so that the step `load` must not fail.

    Raises:
        TryLater: Cloud Storage did not answer.
    """
    facts = facts_of(item)
    if facts.folder is not None or not loads_lines(facts):
        return item
    location, reason = str(item.location), None
    try:
        check_unchanged(facts.files, facts.files_hash)
        if not may_load(facts.files, location, unknown=True):
            reason = f"BigQuery loads no files from the bucket of the input into datasets in {location}"
    except Rejected as error:
        reason = str(error)
    return item if reason is None else replace(item, facts=replace(facts, unfound=reason))


def check_loadable(folder: str, location: str, field: str) -> None:
    """Raise ``Rejected`` if BigQuery does not load answers from a folder into datasets of a location.

    Args:
        folder: The folder of the output: ``gs://bucket/folder``.
        location: The location of the dataset.
        field: The field of the request that needs the answers.
    """
    if not may_load([folder], location, unknown=True):
        raise Rejected(
            f"BigQuery loads no files from the bucket of {folder}, which is in {bucket_location(folder)}, into datasets in "
            f"{location}: choose a bucket and a dataset in the same location",
            field=field,
            code="wrong_location",
        )


def ensure_own_dataset(item: Item, services: Services) -> None:
    """Create the dataset for Modeldrop's own tables where the queries of a batch run, unless it exists.

    Raises:
        Rejected: It is in another location.
    """
    dataset, location = table_of(facts_of(item).answers).dataset_name, str(item.location)
    services.bigquery.ensure_dataset(dataset, location)
    found = services.bigquery.location_of(dataset)
    if found != location:
        raise Rejected(
            f"the dataset {dataset} is in {found}, and the requests are in {location}: Modeldrop cannot create tables for them "
            "there. Let the output be a table, or name a table for results in that location",
            code="wrong_location",
        )


def number_of(step: Step) -> int:
    """Return the number of the job whose answers a step `read` loads: that of the round, from 1."""
    return int(step.name.partition("-")[2] or 1)


def load_answers(facts: BatchFacts, step: Step) -> Query:
    """Return the query of a step `read`, which loads the answers of one job into a table.

    The number in the name of the step is that of the job. The table of a job that was read before may have expired.
    """
    number = number_of(step)
    known = facts.rounds[number - 1] if number <= len(facts.rounds) else None
    folder, answers = (facts.job_folder, facts.answers) if known is None else (known.folder, known.answers)
    assert folder is not None
    return Query(load_lines(table_of(answers), [f"{folder.rstrip('/')}/{ANSWER_FILES}*"]), {})
