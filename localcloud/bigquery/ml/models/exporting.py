"""EXPORT MODEL: writes the files of an imported TensorFlow model to a bucket.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-export-model
"""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.importing import split_uri
from localcloud.bigquery.ml.models.options import OptionValue
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound as ObjectNotFound

# Options of models that BigQuery trained, with hyperparameter tuning or as boosted trees.
_OF_TRAINED_MODELS = ("TRIAL_ID", "ADD_SERVING_DEFAULT_SIGNATURE")


def export(model: Model, options: Mapping[str, OptionValue], store: ObjectStore, *, dry_run: bool) -> None:
    """Write a model's files to the URI in the options.

    Args:
        model: The model.
        options: The options of EXPORT MODEL, names in upper case.
        store: The Cloud Storage that holds the bucket.
        dry_run: Whether to check the export without writing files.

    Raises:
        QueryError: An option is not valid, the bucket does not exist, or the model's type can't be exported.
    """
    for name in options:
        if name in _OF_TRAINED_MODELS:
            raise QueryError(f"Option {name} is not supported for imported models.", location="query")
        if name != "URI":
            raise QueryError(f"Unknown option: {name}", location="query")
    uri = options.get("URI")
    if uri is None:
        raise QueryError("Missing required option: URI", location="query")
    if not isinstance(uri, str):
        raise QueryError("Option URI must be a string.", location="query")
    export_to(model, uri, store, dry_run=dry_run)


def export_to(model: Model, uri: str, store: ObjectStore, *, dry_run: bool = False) -> None:
    """Write a model's files to ``uri``, as an extract job does.

    Raises:
        QueryError: The bucket does not exist, or the model's type can't be exported.
    """
    if model.type != "TENSORFLOW":
        raise QueryError(
            f"Exporting the model {model.reference} is not supported: of imported models only TENSORFLOW ones "
            "can be exported.",
            location="query",
        )
    bucket, folder = split_uri(uri, "URI")
    prefix = folder.removesuffix("*").rstrip("/")
    try:
        store.list(bucket, prefix)
        for file in sorted(path for path in model.files.rglob("*") if path.is_file() and not dry_run):
            with file.open("rb") as content:
                store.write(bucket, f"{prefix}/{file.relative_to(model.files)}".lstrip("/"), content)
    except ObjectNotFound as error:
        raise QueryError(f"Not found: Bucket {bucket}", reason="notFound") from error
