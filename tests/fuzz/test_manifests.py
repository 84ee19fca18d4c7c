"""Every modeldrop.yaml is accepted or rejected, and an accepted one makes valid statements."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from shared.checks.identifiers import ModelName
from shared.drops.imports import statements as drops_sql
from shared.drops.manifest import MODEL_TYPES, Manifest, read_manifest
from shared.errors import Rejected
from tests.example_requests import NOW, PROJECT
from tests.fuzz.mutations import (
    ANYTHING,
    TEXTS,
    as_json,
    damaged,
    mutated,
)

EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "target": "films.genres_2",
        "type": "XGBOOST",
        "description": "Tells genres apart",
        "labels": {"team": "films"},
        "expires_after": "30d",
        "kms_key": "projects/p-12/locations/us/keyRings/ring/cryptoKeys/key",
        "input": {"f1": "INT64"},
        "output": {"predicted_label": "FLOAT64"},
        "files": 12,
        "registry": {"id": "genres", "aliases": ["champion"]},
    },
    {"files": 3},
    {"type": "ONNX", "registry": {"id": "genres"}},
    {"check": {"rows": [{"input": {"f1": 1}, "expected": {"score": [0.5, 1]}}], "tolerance": 0.1}},
    {
        "check": {"query": "SELECT 1 AS f1", "metric": "AVG(score)", "at_least": 0.5},
        "predict": {"input": {"table": "d.t"}, "output": {"table": "d.out"}, "columns": {"keep": ["score"]}},
    },
)


class _Anything(yaml.SafeDumper):
    """Writes texts that YAML has no way to write as it finds them."""


def _as_yaml(value: Any) -> bytes:
    return yaml.dump(value, Dumper=_Anything, allow_unicode=True).encode(errors="replace")


# Pieces of YAML that mean something, good or bad, wherever they stand.
PIECES = st.sampled_from(
    [
        *(
            "files: 3\n",
            "target: a.b\n",
            "type: ONNX\n",
            "labels:\n",
            "  team: films\n",
            "registry: {id: a}\n",
            "\n",
            "  ",
        ),
        *(
            "- ",
            "? ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "|\n",
            ">-\n",
            "#",
            "'",
            '"',
            "\\",
            "\t",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
        ),
        *(
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "!!timestamp ",
            "!!python/name:os.system ",
            "! ",
            "!x ",
            "=",
            "~",
            "null",
            "yes",
        ),
        *(
            "0x_",
            "0b",
            "1:30",
            "1_0",
            ".nan",
            "-.inf",
            "2026-11-20",
            "2026-99-99",
            "0001-01-01T00:00:00+99:99",
            "9" * 5000,
        ),
    ]
)
MANIFESTS = st.one_of(
    mutated(EXAMPLES).map(_as_yaml),
    mutated(EXAMPLES).map(_as_yaml),
    as_json(mutated(EXAMPLES)),
    damaged(mutated(EXAMPLES).map(_as_yaml)),
    st.lists(PIECES, max_size=12).map("".join).map(str.encode),
    ANYTHING.map(_as_yaml),
    st.dictionaries(st.integers() | st.booleans() | TEXTS, ANYTHING, max_size=3).map(_as_yaml),
    st.binary(max_size=60),
)


@given(MANIFESTS)
def test_a_manifest_is_rejected_or_makes_valid_statements(text: bytes) -> None:
    try:
        manifest = read_manifest(text, PROJECT)
    except Rejected as refusal:
        event("rejected")
        assert refusal.problem.field is not None
        assert refusal.problem.field.startswith("modeldrop.yaml") or refusal.problem.field.startswith("options")
        assert len(refusal.problem.message) < 1500
        return
    event("accepted")
    _check(manifest)


def _check(manifest: Manifest) -> None:
    model = manifest.target or ModelName(PROJECT, "films", "genres")
    assert re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]+\.\w+\.\w+", str(model), re.ASCII)
    assert manifest.model_type in {None, *MODEL_TYPES}
    assert manifest.files is None or 1 <= manifest.files <= 1_000_000
    assert manifest.expires_after is None or timedelta(0) < manifest.expires_after
    assert bool(manifest.inputs) == bool(manifest.outputs)
    for column, kind in (*manifest.inputs, *manifest.outputs):
        assert re.fullmatch(r"[A-Za-z_]\w*", column, re.ASCII)
        assert kind in {"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"}
    for name, value in manifest.labels:
        assert re.fullmatch(r"[a-z][a-z0-9_-]*=[a-z0-9_-]*", f"{name}={value}")
    drops_sql.create_model(model, manifest.model_type or "ONNX", "gs://b/films/genres/2/g.onnx", manifest).encode()
    (drops_sql.alter_model(model, manifest, NOW) or "").encode()
