"""Checking model files before they are uploaded."""

from __future__ import annotations

import json

import click

from modeldrop.check import Checked, check
from shared.drops.formats.model_facts import Shape, Tensor


@click.command("check")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with one object for each PATH.")
@click.pass_context
def command(context: click.Context, paths: tuple[str, ...], as_json: bool) -> None:
    """Check model files or folders, also `gs://` URIs, as BigQuery imports them.

    Prints the type, the columns, an example query and the modeldrop.yaml that is needed, or what is wrong and what to do.
    Exits with 1 if a model cannot be imported.

    Example: modeldrop check model.onnx
    """
    try:
        results = [check(path) for path in paths]
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([result.as_json() for result in results], indent=2))
    else:
        click.echo("\n\n".join(report(result) for result in results))
    context.exit(0 if all(result.ok for result in results) else 1)


def report(result: Checked) -> str:
    """Return the result of a check for people."""
    facts = result.facts
    lines = [f"{result.path}: {'can be imported' if result.ok else 'cannot be imported'}"]
    if facts is not None:
        lines[0] += f" ({facts.model_type})"
        lines += [f"  {name}: {value}" for name, value in facts.versions]
        for title, tensors in (("inputs", facts.inputs), ("outputs", facts.outputs)):
            lines += [f"{title}:", *_table(tensors)] if tensors else []
    lines += [f"problem: {problem.message}" for problem in result.problems]
    lines += [f"note: {note}" for note in facts.notes] if facts is not None else []
    if result.manifest is not None:
        lines += ["write this modeldrop.yaml into the same folder:", *_indented(result.manifest)]
    if result.sql is not None:
        lines += ["example:", *_indented(result.sql)]
    return "\n".join(lines)


def _table(tensors: tuple[Tensor, ...]) -> list[str]:
    """Return one line for each tensor, in columns."""
    rows = [(tensor.name, tensor.type, f"{tensor.element} {_shape(tensor.shape)}") for tensor in tensors]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"  {name:{first}}  {kind:{second}}  {origin}" for name, kind, origin in rows]


def _shape(shape: Shape | None) -> str:
    return "of any rank" if shape is None else f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
