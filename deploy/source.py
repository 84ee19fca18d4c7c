"""The source that every function is built from: its files, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IGNORED = Path(__file__).with_name("gcloudignore")


def deployed_files(root: Path = ROOT) -> Iterator[Path]:
    """Yield the files below ``root`` that deploy/gcloudignore leaves, sorted.

    The file has few forms: ``/*`` leaves out everything, ``!/NAME`` takes something at the top back, and the other lines
    leave out folders and files again. A test compares this with what Git makes of the file.
    """
    lines = [line.strip() for line in IGNORED.read_text(encoding="utf-8").splitlines()]
    kept = [line[2:].rstrip("/") for line in lines if line.startswith("!/")]
    left_out = [line for line in lines if line and not line.startswith(("#", "!", "/*"))]
    paths = [path for name in kept for path in ((root / name).rglob("*") if (root / name).is_dir() else [root / name])]
    for path in sorted(paths):
        if path.is_file():
            name = path.relative_to(root)
            if not any(_matches(name, line) for line in left_out):
                yield path


def _matches(name: Path, line: str) -> bool:
    if line.startswith("/"):
        return name.is_relative_to(line.strip("/"))
    return any(fnmatch(part, line.rstrip("/")) for part in name.parts)


def source_hash(root: Path = ROOT) -> str:
    """Return a hash of the names and contents of the files below ``root`` that functions are built from."""
    digest = hashlib.sha256()
    for path in deployed_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    # Cloud Build runs this to label what it deploys.
    print(source_hash())
