"""Exporting models into the formats that BigQuery imports."""

from __future__ import annotations

import json
import os

import click

from modeldrop.commands.check import report
from modeldrop.rows import NotRows, read_rows


@click.command("export")
@click.argument("model", metavar="MODEL")
@click.argument("out", metavar="OUT")
@click.option(
    "--sample",
    "sample_file",
    metavar="FILE",
    help="Rows to compare outputs on: JSON Lines, or - for the standard input.",
)
@click.option("--overwrite", is_flag=True, help="Replace files of the same names in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(model: str, out: str, sample_file: str | None, overwrite: bool, as_json: bool) -> None:
    """Export the model in the file MODEL to OUT, as BigQuery imports it.

    MODEL is a file of Keras (.keras), scikit-learn (.joblib, .pkl), XGBoost (.ubj, .json, .bst), LightGBM (text), PyTorch
    (.pt2, .pt) or ONNX. OUT is the folder to upload, or the file itself. The export is checked, and its outputs are compared
    with those of the model; if they differ, nothing is written. Loading a pickle (.joblib, .pkl, .pt) runs the code in it:
    give only files that you trust. In Python, modeldrop.export(model, path) does the same.

    Example: modeldrop export model.joblib out/
    """
    # Libraries log to the terminal what is not of interest here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from modeldrop.exporters.errors import ExportError
    from modeldrop.exporters.exports import export

    try:
        sample = None if sample_file is None else read_rows(sample_file)
        exported = export(model, out, sample=sample, overwrite=overwrite)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"The export needs the package {error.name}: install it.") from error
    except (ExportError, NotRows, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        result = {"largest_difference": exported.largest_difference, "notes": list(exported.notes)}
        click.echo(json.dumps({**exported.checked.as_json(), "path": str(exported.path), **result}, indent=2))
        return
    click.echo(report(exported.checked))
    for note in exported.notes:
        click.echo(f"note: {note}")
    click.echo(f"The outputs are those of the model (largest difference: {exported.largest_difference:.3g}).")
