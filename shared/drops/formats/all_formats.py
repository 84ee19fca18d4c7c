"""The table of the formats that BigQuery imports. A new format is one module here and one line below."""

from __future__ import annotations

from shared.drops.formats import booster, onnx, saved_model, tensorflow_lite
from shared.drops.formats.model_facts import Format

FORMATS: dict[str, Format] = {
    each.model_type: each for each in (saved_model.FORMAT, onnx.FORMAT, tensorflow_lite.FORMAT, booster.FORMAT)
}
