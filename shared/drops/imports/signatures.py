"""The columns of a model, as BigQuery describes them and as its files do."""

from __future__ import annotations

from dataclasses import replace

from shared.drops import limits
from shared.drops.formats.model_facts import ModelFacts, Tensor
from shared.work_facts import ModelColumn, ModelSignature


def signature_of(facts: ModelFacts) -> ModelSignature:
    """Return the columns of a model as its files describe them."""
    return ModelSignature(
        facts.model_type,
        tuple(_column(tensor) for tensor in facts.inputs[: limits.STORED_COLUMNS]),
        tuple(_column(tensor) for tensor in facts.outputs[: limits.STORED_COLUMNS]),
    )


def completed(described: ModelSignature, read: ModelSignature | None) -> ModelSignature:
    """Return the columns that BigQuery describes, with the elements and shapes that were read from the files.

    BigQuery describes types of columns only, and for some models no columns at all.
    """
    if read is None:
        return described
    return replace(
        described,
        input_columns=_completed(described.input_columns, read.input_columns),
        output_columns=_completed(described.output_columns, read.output_columns),
    )


def _completed(described: tuple[ModelColumn, ...], read: tuple[ModelColumn, ...]) -> tuple[ModelColumn, ...]:
    known = {column.name: column for column in read}
    columns = (
        replace(column, element=known[column.name].element, shape=known[column.name].shape)
        if column.name in known
        else column
        for column in described
    )
    return tuple(columns) or read


def _column(tensor: Tensor) -> ModelColumn:
    return ModelColumn(tensor.name, tensor.type, tensor.element, tensor.shape)
