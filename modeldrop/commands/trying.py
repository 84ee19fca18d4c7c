"""Predicting rows with a model before it is uploaded."""

from __future__ import annotations

import json
import math
from typing import Any

import click

from modeldrop.commands.local import NEEDS_LOCAL_CLOUD
from modeldrop.rows import NotRows, read_rows

# As many elements of an array are shown in a table.
_SHOWN_ELEMENTS = 6
_SHOWN_CHARACTERS = 60


@click.command("try")
@click.argument("path")
@click.option(
    "--rows",
    "rows_file",
    metavar="FILE",
    required=True,
    help="JSON Lines, one object for each row; - is the standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each row.")
def command(path: str, rows_file: str, as_json: bool) -> None:
    """Predict rows with the model in PATH, as ML.PREDICT does, without a cloud.

    PATH is a file or a folder, as for `modeldrop check`. Prints the outputs of the model, and then the columns of each row.

    Example: modeldrop try out/ --rows rows.jsonl
    """
    try:
        from modeldrop.trying import TrialFailed, predict_rows
    except ModuleNotFoundError as error:
        raise click.ClickException(NEEDS_LOCAL_CLOUD.format(error=error)) from error
    if path.startswith("gs://"):
        raise click.ClickException(f"{path} is in a bucket: download it first, gcloud storage cp --recursive {path} .")
    try:
        rows = predict_rows(path, read_rows(rows_file))
    except (TrialFailed, NotRows, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(
            json.dumps(
                [{name: _plain(value) for name, value in row.items()} for row in rows], indent=2, ensure_ascii=False
            )
        )
    else:
        _print_table(rows)


def _plain(value: Any) -> Any:
    """Return a value as BigQuery writes it in JSON, which has no infinite numbers.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_encodings
    """
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table()
    for name in names:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(_shown(row[name]) if name in row else "") for name in names))
    Console().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        rest = f", ... ({len(value)})" if len(value) > _SHOWN_ELEMENTS else ""
        return f"[{', '.join(_shown(each) for each in value[:_SHOWN_ELEMENTS])}{rest}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
