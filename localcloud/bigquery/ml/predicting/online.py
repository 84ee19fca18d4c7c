"""Predicts JSON instances with an imported model, for an endpoint of Vertex AI.

An instance is an object with a value for each input of the model. For a model with one input it can be the value itself.
https://cloud.google.com/vertex-ai/docs/predictions/get-online-predictions
"""

from __future__ import annotations

import base64
import binascii
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.signature import Feature, Signature
from localcloud.bigquery.ml.workers.pool import ModelWorkers

# The types of JSON values that an input accepts.
_JSON_TYPES: dict[str, tuple[type, ...]] = {"INT64": (int,), "FLOAT64": (int, float), "BOOL": (bool,), "STRING": (str,)}


def predict_instances(model: Model, instances: list[Any], workers: ModelWorkers) -> list[dict[str, Any]]:
    """Return the model's outputs by name for each instance.

    Raises:
        QueryError: An instance does not match the model's inputs, or the model failed.
    """
    signature = model.signature
    if signature is None:
        raise QueryError(f"The remote model {model.reference} has no online prediction.", reason="invalid")
    if not instances:
        return []
    rows = [_by_input(instance, signature, index) for index, instance in enumerate(instances)]
    columns = {feature.name: _column(feature, [row[feature.name] for row in rows]) for feature in signature.inputs}
    outputs = workers.predict(model, columns, threading.Event())
    answers = {
        feature.name: [_answer(feature, value) for value in outputs[feature.name].to_pylist()]
        for feature in signature.outputs
    }
    return [{name: values[index] for name, values in answers.items()} for index in range(len(instances))]


def _by_input(instance: Any, signature: Signature, index: int) -> dict[str, Any]:
    names = [feature.name for feature in signature.inputs]
    if isinstance(instance, dict) and instance.keys() != {"b64"}:
        row = instance
    elif len(names) == 1:
        row = {names[0]: instance}
    else:
        raise _invalid(index, f"it must be an object with the inputs {', '.join(names)}")
    if missing := [name for name in names if name not in row]:
        raise _invalid(index, f"the input {missing[0]} is missing. The model has the inputs {', '.join(names)}")
    if unknown := sorted(row.keys() - set(names)):
        raise _invalid(index, f"the model has no input {unknown[0]}. It has the inputs {', '.join(names)}")
    return row


def _column(feature: Feature, values: list[Any]) -> pa.Array:
    rows = [_values(feature, value, index) for index, value in enumerate(values)]
    try:
        return pa.array(rows if feature.array else [row[0] for row in rows], feature.arrow_type)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise QueryError(f"Invalid values of the input {feature.name}: {error}", reason="invalid") from error


def _values(feature: Feature, value: Any, index: int) -> list[Any]:
    """Return the elements of an input of one instance in one list: an array may be nested."""
    elements = [_element(feature, each, index) for each in _flat(value)]
    if not feature.array and len(elements) != 1:
        raise _invalid(index, f"the input {feature.name} must be one value, not {len(elements)}")
    if feature.array and feature.size not in (None, len(elements)):
        shape = f"the model's shape {list(feature.shape)}"
        raise _invalid(
            index, f"the input {feature.name} must have {feature.size} elements for {shape}, not {len(elements)}"
        )
    return elements


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _element(feature: Feature, value: Any, index: int) -> Any:
    if feature.type == "STRING" and isinstance(value, dict) and value.keys() == {"b64"}:
        try:
            return base64.b64decode(str(value["b64"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _invalid(index, f"the input {feature.name} must be the base64 of UTF-8 text") from None
    if not isinstance(value, _JSON_TYPES[feature.type]) or (isinstance(value, bool) and feature.type != "BOOL"):
        kind = "null" if value is None else type(value).__name__
        raise _invalid(index, f"the input {feature.name} must be {feature.sql_type}, but a value is {kind}")
    return value


def _answer(feature: Feature, value: Any) -> Any:
    """Return an output of one instance as JSON, in the shape that it has in the model."""
    if not isinstance(value, list):
        return _json_number(value)
    elements = [_json_number(each) for each in value]
    if len(feature.shape) < 2 or feature.shape.count(None) > 1:
        return elements
    shape = [-1 if size is None else size for size in feature.shape]
    return np.array(elements, dtype=object).reshape(shape).tolist()


def _json_number(value: Any) -> Any:
    """Return a value, or the name of a number that JSON does not have: https://protobuf.dev/programming-guides/json/."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _invalid(index: int, problem: str) -> QueryError:
    return QueryError(f"Invalid instance at index {index}: {problem}.", reason="invalid")
