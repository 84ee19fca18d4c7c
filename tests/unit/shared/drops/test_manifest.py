"""modeldrop.yaml: what each line means, and what is refused with its field."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
import yaml

from shared.checks.identifiers import ModelName
from shared.drops import limits
from shared.drops.manifest import Manifest, read_manifest
from shared.errors import Rejected

FULL = b"""
target: films.genres_2          # another model than the path's
type: XGBOOST
description: |
  Tells genres apart: "drama", 'comedy'.
labels: {team: films, stage: test}
expires_after: 30d
kms_key: projects/p-12/locations/us/keyRings/ring/cryptoKeys/key
input: {f1: INT64, f2: float64}
output: {predicted_label: FLOAT64}
files: 12
registry:
  id: genres
  aliases: [champion, v-2]
"""


def _read(text: str | bytes) -> Manifest:
    return read_manifest(text if isinstance(text, bytes) else text.encode(), "local-project")


def _refusal(text: str | bytes) -> tuple[str | None, str]:
    with pytest.raises(Rejected) as refusal:
        _read(text)
    return refusal.value.problem.field, refusal.value.problem.message


def test_every_field_is_read() -> None:
    assert _read(FULL) == Manifest(
        target=ModelName("local-project", "films", "genres_2"),
        model_type="XGBOOST",
        description="Tells genres apart: \"drama\", 'comedy'.\n",
        labels=(("stage", "test"), ("team", "films")),
        expires_after=timedelta(days=30),
        kms_key="projects/p-12/locations/us/keyRings/ring/cryptoKeys/key",
        inputs=(("f1", "INT64"), ("f2", "FLOAT64")),
        outputs=(("predicted_label", "FLOAT64"),),
        files=12,
        registry_id="genres",
        registry_aliases=("champion", "v-2"),
    )


@pytest.mark.parametrize("text", [b"", b"\n# nothing to say\n", b"---\n", b"null", b"{}", b"target: null\nfiles: ~\n"])
def test_an_empty_manifest_has_no_fields(text: bytes) -> None:
    assert _read(text) == Manifest()


def test_a_manifest_may_be_json() -> None:
    assert _read('{"files": 3, "labels": {"team": "films"}}') == Manifest(files=3, labels=(("team", "films"),))


def test_a_manifest_may_be_utf_16() -> None:
    assert _read("description: Fürchte nichts".encode("utf-16")) == Manifest(description="Fürchte nichts")


@pytest.mark.parametrize(
    ("text", "duration"),
    [("12h", timedelta(hours=12)), ("1 d", timedelta(days=1)), ("99999h", timedelta(hours=99999))],
)
def test_a_duration_is_in_hours_or_days(text: str, duration: timedelta) -> None:
    assert _read(f"expires_after: {text}").expires_after == duration


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("target: genres", "modeldrop.yaml.target"),
        ("target: films.genres-2", "modeldrop.yaml.target"),
        ("target: 'films.g`; DROP'", "modeldrop.yaml.target"),
        ("target: [films, genres]", "modeldrop.yaml.target"),
        ("type: PYTORCH", "modeldrop.yaml.type"),
        ("type: tensorflow", "modeldrop.yaml.type"),
        ("description: 7", "modeldrop.yaml.description"),
        (f"description: {'x' * 16_385}", "modeldrop.yaml.description"),
        ('description: "\\ud800"', "modeldrop.yaml.description"),
        ("labels: {Team: films}", "modeldrop.yaml.labels"),
        ("labels: {team: 7}", "modeldrop.yaml.labels.team"),
        ("labels: {1: films}", "modeldrop.yaml.labels"),
        ("labels: [a]", "modeldrop.yaml.labels"),
        ("labels: {modeldrop_x: a}", "modeldrop.yaml.labels.modeldrop_x"),
        ("expires_after: 30", "modeldrop.yaml.expires_after"),
        ("expires_after: 0d", "modeldrop.yaml.expires_after"),
        ("expires_after: 100000d", "modeldrop.yaml.expires_after"),
        ("expires_after: 2026-12-01", "modeldrop.yaml.expires_after"),
        ("expires_after: ٣d", "modeldrop.yaml.expires_after"),
        ("kms_key: key", "modeldrop.yaml.kms_key"),
        ("kms_key: projects/../locations/us/keyRings/r/cryptoKeys/k", "modeldrop.yaml.kms_key"),
        ("target: ../project.films.genres", "modeldrop.yaml.target"),
        ("target: projects/../films.genres", "modeldrop.yaml.target"),
        ("input: {f1: INT64}", "modeldrop.yaml.input"),
        ("output: {f1: FLOAT64}", "modeldrop.yaml.input"),
        ("input: {f1: STRING}\noutput: {l: FLOAT64}", "modeldrop.yaml.input.f1"),
        ("input: {f1: INT64}\noutput: {l: INT64}", "modeldrop.yaml.output.l"),
        ("input: {'f`': INT64}\noutput: {l: FLOAT64}", "modeldrop.yaml.input.f`"),
        ("input: {2: INT64}\noutput: {l: FLOAT64}", "modeldrop.yaml.input"),
        ("files: many", "modeldrop.yaml.files"),
        ("files: 0", "modeldrop.yaml.files"),
        ("files: -1", "modeldrop.yaml.files"),
        ("files: 1.0", "modeldrop.yaml.files"),
        ("files: yes", "modeldrop.yaml.files"),
        ("files: 20001", "modeldrop.yaml.files"),
        ("registry: genres", "modeldrop.yaml.registry"),
        ("registry: {}", "modeldrop.yaml.registry.id"),
        ("registry: {id: Genres}", "modeldrop.yaml.registry.id"),
        ("registry: {id: 2genres}", "modeldrop.yaml.registry.id"),
        ("registry: {id: a, aliases: champion}", "modeldrop.yaml.registry.aliases"),
        ("registry: {id: a, aliases: [1]}", "modeldrop.yaml.registry.aliases[0]"),
        ("registry: {id: a, aliases: [ok, 'not ok']}", "modeldrop.yaml.registry.aliases[1]"),
        ("registry: {id: a, aliases: [best, worst, best]}", "modeldrop.yaml.registry.aliases[2]"),
        (f"registry: {{id: a, aliases: {[f'a{n}' for n in range(101)]}}}", "modeldrop.yaml.registry.aliases"),
        ("registry: {id: a, alias: b}", "modeldrop.yaml.registry.alias"),
        ("registry: {yes: a}", "modeldrop.yaml.registry"),
        ("predict: {input: {table: d.t}, output: {table: d.o}, options: {on: 1}}", "modeldrop.yaml.predict.options"),
        (
            "predict: {input: {table: d.t}, output: {table: d.o}, function: AI.GENERATE_TEXT}",
            "modeldrop.yaml.predict.function",
        ),
        (
            "remote: {connection: us.c, endpoint: gemini-3.8-flash}\npredict: {input: {table: d.t}, output: {table: d.o}}",
            "modeldrop.yaml.predict.function",
        ),
        ("deploy: {endpoint: genres}", "modeldrop.yaml.deploy"),
        ("registry: {id: a}\ndeploy: {}", "modeldrop.yaml.deploy.endpoint"),
        ("registry: {id: a}\ndeploy: {endpoint: 12}", "modeldrop.yaml.deploy.endpoint"),
        ("registry: {id: a}\ndeploy: {endpoint: a, traffic: 50%}", "modeldrop.yaml.deploy.traffic"),
        ("registry: {id: a}\ndeploy: {endpoint: a, machine: n1-standard-2}", "modeldrop.yaml.deploy.machine"),
        ("modell: films.genres", "modeldrop.yaml.modell"),
        ('"\\ud800": 2', r"modeldrop.yaml.\ud800"),
        ("1: 2", "modeldrop.yaml"),
        ("- files", "modeldrop.yaml"),
        ("just a text", "modeldrop.yaml"),
        ("2026-11-20", "modeldrop.yaml"),
    ],
)
def test_a_wrong_field_is_rejected_with_its_name(text: str, field: str) -> None:
    assert _refusal(text)[0] == field


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"files: [1", "is not YAML"),
        (b"files: 1\n files: 2", "is not YAML"),
        (b"\tfiles: 1", "line 1, column 1: files: 1 ^. YAML has no tabs: use spaces"),
        (b"description: it's: bad", "Put a text that holds a colon and a space in quotes"),
        (b"a: \xff", "is not YAML"),
        (b"a: \x00", "is not YAML"),
        (b"files: 2026-99-99", "is not YAML"),
        (b"files: " + b"9" * 5000, "is not YAML"),
        (b"description: 1" + b":1" * 200 + b".0", "is not YAML"),
        (b'description: "\\UFFFFFFFF"', "is not YAML"),
        (b"--- {}\n--- {}\n", "is not YAML"),
        (b"? [a]\n: b\n", "is not YAML"),
        (b"a: &x 1\nb: *x\n", "alias"),
        (b"a: &x [*x]", "alias"),
        (b"!!python/object/apply:os.system ['true']", "tag"),
        (b"files: !!int ''", "tag"),
        (b"files: !!timestamp x", "tag"),
        (b"files: !!bool x", "tag"),
        (b"files: !!binary x", "tag"),
        (b"[" * 60_000, "nested"),
        (b"{a: " * 15_000, "nested"),
        (b"- " * 30_000, "nested"),
        (b"\n".join(b" " * depth + b"a:" for depth in range(300)), "nested"),
        (b"#" * (limits.MANIFEST_BYTES + 1), f"larger than {limits.MANIFEST_BYTES} bytes"),
        (b"[" + b"a," * 15_000 + b"]", "more than 20,000 tokens"),
        (b"description: &x text", "line 1"),
        (b"files: 1\n<<: {files: 2}", "merges a mapping (<<) in line 2"),
        (b"files: 1\nlabels: {}\nfiles: 2", "'files' in line 1 and again in line 3"),
        (b"{files: 1, files: 1}", "'files' in line 1 and again in line 1"),
        (b'files: 1\n"files": 2', "'files' in line 1 and again in line 2"),
        (b"labels:\n  a: x\n  b: y\n  'a': z", "'a' in line 2 and again in line 4"),
        (b"input: {f: INT64, f: FLOAT64}\noutput: {l: FLOAT64}", "'f' in line 1 and again in line 1"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_text_that_is_not_plain_yaml_is_rejected(text: bytes, wanted: str) -> None:
    begun = time.thread_time()
    field, message = _refusal(text)
    assert field == "modeldrop.yaml"
    assert wanted in message
    assert len(message) < 300
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "0b" + "1" * 20_000, "1" + ":1" * 4000])
def test_a_number_with_too_many_digits_is_rejected(number: str) -> None:
    field, message = _refusal(f"files: {number}")
    assert field == "modeldrop.yaml.files"
    assert message.endswith("not a larger number (line 1 of modeldrop.yaml)")


def test_nested_aliases_are_rejected_before_they_are_expanded() -> None:
    lines: list[Any] = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    assert "alias" in _refusal("\n".join(["a0: &a0 x", *lines]))[1]


def test_a_written_manifest_reads_back() -> None:
    text = yaml.safe_dump({"files": 3, "description": "Ünïcode: 'x'\n", "labels": {"a": ""}})
    assert _read(text) == Manifest(files=3, description="Ünïcode: 'x'\n", labels=(("a", ""),))


def test_a_time_without_its_unit_is_refused_with_both_units() -> None:
    assert _refusal("expires_after: 30") == (
        "modeldrop.yaml.expires_after",
        "modeldrop.yaml.expires_after must be hours or days such as 12h or 30d (line 1 of modeldrop.yaml)",
    )
