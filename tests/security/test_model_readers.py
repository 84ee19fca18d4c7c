"""The readers of all formats take bounded memory and time, whatever a file holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.drops import limits
from tests.model_files import booster, field, varint

MEBIBYTE = limits.MEBIBYTE
MEMORY = 64
# A few on an ordinary machine; the time counts double where others use the same core.
CPU_SECONDS = 25

# Reads a file on the disk, and prints what came of it and what it took.
CHILD = """
import json, resource, sys, time
from pathlib import Path
from shared.drops.formats.all_formats import FORMATS
from shared.drops.formats.model_facts import Columns
from shared.errors import Rejected
from tests.model_files import OnDisk
kind, path = sys.argv[1:]
file = OnDisk(Path(path), Path(path).name)
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    facts = FORMATS[kind].read(file, Columns())
    result = [problem.code for problem in facts.problems]
except Rejected as error:
    result = error.problem.message
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"result": result, "reads": len(file.reads), "MiB": used / 1024, "CPU": time.process_time() - begun}))
"""


def read_in_a_process(kind: str, path: Path) -> dict[str, Any]:
    """Return what came of reading a file, after checking what it took."""
    arguments = [sys.executable, "-c", CHILD, kind, str(path)]
    outcome: dict[str, Any] = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert outcome["MiB"] < MEMORY, outcome
    assert outcome["CPU"] < CPU_SECONDS, outcome
    return outcome


def onnx_around(size: int) -> tuple[bytes, bytes]:
    """Return the beginning and the end of an ONNX model around a tensor of ``size`` bytes."""
    weight = field(8, b"w") + varint(9 << 3 | 2) + varint(size)
    end = field(11, field(1, b"x")) + field(12, field(1, b"y"))
    head = varint(5 << 3 | 2) + varint(len(weight) + size) + weight
    return b"\x08\x08" + varint(7 << 3 | 2) + varint(len(head) + size + len(end)) + head, end


def test_the_large_tensor_of_an_onnx_model_is_not_read(tmp_path: Path) -> None:
    size = 440 * MEBIBYTE
    beginning, end = onnx_around(size)
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.write(beginning)
        file.seek(size, 1)
        file.write(end)
    outcome = read_in_a_process("ONNX", path)
    # The input and output have no types here; that they are found shows that the whole file was searched.
    assert outcome["result"] == ["unsupported_type", "unsupported_type"]
    assert outcome["reads"] <= 3


@pytest.mark.parametrize("megabytes", [16, pytest.param(249, marks=pytest.mark.matrix)])
def test_the_trees_of_a_booster_are_read_in_windows(tmp_path: Path, megabytes: int) -> None:
    before, _, after = booster(names=["a", "b"], types=["float", "int"]).partition(b'"trees": [')
    numbers = b", ".join([b"1.25"] * 1000)
    tree = b'{"base_weights": [%s], "left_children": [%s], "id": 1, "tree_param": {"num_nodes": "9"}}, ' % (
        numbers,
        numbers,
    )
    path = tmp_path / "model.json"
    with path.open("wb") as file:
        file.write(before + b'"trees": [')
        for _ in range(megabytes * MEBIBYTE // len(tree)):
            file.write(tree)
        file.write(after)
    outcome = read_in_a_process("XGBOOST", path)
    assert outcome["result"] == []
    assert outcome["reads"] <= megabytes // 8 + 3


@pytest.mark.parametrize(
    ("kind", "name", "content", "part"),
    [
        pytest.param(
            "XGBOOST",
            "m.json",
            b'{"learner": ' + b"[" * 20_000_000,
            "more than 10,000,000 texts and brackets",
            marks=pytest.mark.matrix,
        ),
        ("XGBOOST", "m.json", b'{"learner": "' + b"a" * 40_000_000, "a text is too long"),
        ("ONNX", "m.onnx", field(7, field(11, b"\x0a\x01x") * 600_000), "more than 20,000 inputs"),
        (
            "TENSORFLOW",
            "saved_model.pb",
            field(2, field(5, field(2, field(1, b"") * 600_000))),
            "more than 20,000 inputs",
        ),
        ("TENSORFLOW", "saved_model.pb", field(2, field(5, b"") * 600_000), "more than 1,000 signatures"),
    ],
    ids=["brackets", "text", "inputs of ONNX", "inputs of a SavedModel", "signatures"],
)
def test_a_crafted_file_is_refused(tmp_path: Path, kind: str, name: str, content: bytes, part: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert part in read_in_a_process(kind, tmp_path / name)["result"]
