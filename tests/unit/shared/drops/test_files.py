"""Drops, read from a real bucket."""

from __future__ import annotations

import pytest
from google.cloud import storage

from shared.drops.contents.files import DropFiles
from shared.drops.drop import DropPath


@pytest.mark.parametrize(
    ("content", "is_other"),
    [
        (b'{"learner":{"attributes":{}}}', False),
        (b'\n{\n  "version": [2, 1, 0],\n  "learner": {}}', False),
        (b'{"max_depth": 3}', True),
        (b'{\n  "version": "1.0",\n  "truncation": null', True),
        (b'[{"learner": {}}]', True),
        (b"", True),
        (b" " * 1000 + b'{"learner": {}}', True),
    ],
)
def test_a_json_file_is_a_booster_by_its_beginning(bucket: storage.Bucket, content: bytes, is_other: bool) -> None:
    path = DropPath("scores", "booster", str(abs(hash(content))))
    bucket.blob(f"{path.prefix}model.json").upload_from_string(content)
    drop = DropFiles(bucket.client, bucket.name, "units").read(path)
    assert [file.name for file in drop.files] == ["model.json"]
    assert (drop.other_json == {"model.json"}) is is_other


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_text_of_a_manifest_is_kept(bucket: storage.Bucket, encoding: str) -> None:
    path = DropPath("scores", "described", encoding)
    bucket.blob(f"{path.prefix}modeldrop.yaml").upload_from_string("description: gr\u00fcn\n".encode(encoding))
    drop = DropFiles(bucket.client, bucket.name, "units").read(path)
    assert drop.manifest.description == "gr\u00fcn"
    assert drop.manifest_text == "description: gr\u00fcn\n"
