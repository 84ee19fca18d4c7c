"""The readers of signatures take bounded memory and time for a crafted file of each format, and refuse it with a reason."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.drops import limits
from shared.drops.formats.booster import read_booster
from shared.drops.formats.model_facts import Columns
from shared.errors import Rejected
from tests.model_files import InMemory, field

MEMORY = 64

# Reads a file on the disk, and prints what came of it and the memory that it took.
CHILD = """
import json, resource, sys
from pathlib import Path
from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.model_facts import Columns
from shared.errors import Rejected
from tests.model_files import OnDisk
file = OnDisk(Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    FORMATS[sys.argv[1]].read(file, Columns())
    result = "read"
except Rejected as error:
    result = error.problem.message
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"result": result, "MiB": used / 1024}))
"""


def read_in_a_process(model_type: str, path: Path, content: bytes) -> str:
    """Return what came of reading a file with this content, after checking the memory that it took."""
    path.write_bytes(content)
    command = [sys.executable, "-c", CHILD, model_type, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["MiB"] < MEMORY, outcome
    return str(outcome["result"])


def booster(parameters: str = '{"num_feature": "1"}', *, more: str = "") -> bytes:
    """Return an XGBoost model in JSON whose learner has these parameters and members."""
    return f'{{"learner": {{"learner_model_param": {parameters}{more}}}, "version": [1, 5, 1]}}'.encode()


def test_a_json_text_of_millions_of_escapes_is_skipped(tmp_path: Path) -> None:
    content = b'{"learner": {"x": "' + b"\\n" * 3_900_000 + b'"}}'
    assert "no learner with parameters" in read_in_a_process("XGBOOST", tmp_path / "m.json", content)


def test_a_json_text_of_millions_of_escapes_without_an_end_is_refused(tmp_path: Path) -> None:
    content = b'{"learner": {"' + b"\\n" * 7_900_000
    assert "is cut off" in read_in_a_process("XGBOOST", tmp_path / "m.json", content)


def test_a_list_of_a_million_lists_as_names_of_features_is_refused(tmp_path: Path) -> None:
    content = b'{"learner": {"feature_names": [' + b"[]," * 1_300_000 + b"[]]}}"
    assert "too long to be read" in read_in_a_process("XGBOOST", tmp_path / "m.json", content)


def test_an_onnx_model_with_very_many_inputs_and_outputs_is_refused(tmp_path: Path) -> None:
    content = field(7, field(11, b"") * 219_000 + field(12, b"") * 219_000)
    assert f"more than {limits.VALUES:,} inputs" in read_in_a_process("ONNX", tmp_path / "m.onnx", content)


@pytest.mark.long
def test_inputs_of_signatures_that_are_not_used_are_not_kept(tmp_path: Path) -> None:
    signatures = (field(5, field(1, b"s%d" % number) + field(2, field(1, b"") * 1500)) for number in range(500))
    content = field(2, field(1, field(4, b"serve")) + b"".join(signatures))
    assert read_in_a_process("TENSORFLOW", tmp_path / "saved_model.pb", content) == "read"


def test_repeated_signatures_with_very_many_inputs_are_refused(tmp_path: Path) -> None:
    signature = field(5, field(1, b"serving_default") + field(2, field(1, b"") * 9000))
    content = field(2, field(1, field(4, b"serve")) + signature * 100)
    assert f"more than {limits.VALUES:,} inputs and outputs" in read_in_a_process(
        "TENSORFLOW", tmp_path / "saved_model.pb", content
    )


def test_operators_of_tensorflow_lite_whose_names_share_their_bytes_take_little_memory(tmp_path: Path) -> None:
    content = lite_operators(150_000, 150_000)
    assert read_in_a_process("TENSORFLOW_LITE", tmp_path / "m.tflite", content) == "read"


@pytest.mark.long
def test_very_many_operators_of_tensorflow_lite_are_refused(tmp_path: Path) -> None:
    content = lite_operators(limits.BUFFER_TABLES + 1, 1)
    assert "operators, inputs and outputs" in read_in_a_process("TENSORFLOW_LITE", tmp_path / "m.tflite", content)


def lite_operators(count: int, names: int) -> bytes:
    """Return a TensorFlow Lite file with operators whose names are long and overlap in the file, and with a wrong graph."""
    vector = 48
    tables = vector + 4 + 4 * count
    texts = tables + 8 * count
    model = struct.pack("<I4s5HxxiIII", 20, b"TFL3", 10, 12, 0, 4, 8, 12, vector - 24, 32 - 28, 1)
    head = model + struct.pack("<I4H", 0, 8, 8, 0, 4)
    operators = b"".join(
        struct.pack("<iI", tables + 8 * at - 40, texts + at % names - (tables + 8 * at + 4)) for at in range(count)
    )
    distances = b"".join(struct.pack("<I", tables + 8 * at - (vector + 4 + 4 * at)) for at in range(count))
    text = b"".join(b"%07x" % (at * 2654435761 % 2**28) for at in range((names + 2000) // 7))
    return head + struct.pack("<I", count) + distances + operators + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (booster('{"num_feature": 1e999}'), "not a number, or is too large"),
        (booster('{"num_feature": "-1"}'), "not a number, or is too large"),
        (booster(f'{{"num_feature": "{"9" * 4000}"}}'), "not a number, or is too large"),
        (booster().replace(b"[1, 5, 1]", b"[Infinity]"), "not a number, or is too large"),
        (booster(more=', "feature_names": ["a", "b"]'), "1 features and 2 names"),
    ],
)
def test_a_booster_with_impossible_numbers_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        read_booster(InMemory(content, "model.json"), Columns())


def test_half_a_surrogate_pair_in_a_name_becomes_text_that_can_be_sent() -> None:
    content = booster(more=', "feature_names": ["\\ud800"], "feature_types": ["float"]')
    facts = read_booster(InMemory(content, "model.json"), Columns())
    assert [tensor.name.encode() for tensor in facts.inputs] == [b"?"]
