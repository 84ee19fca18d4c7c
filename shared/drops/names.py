"""The names that the files of a model can have: models are loaded from a file system."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection

from shared.checks.identifiers import is_relative_path
from shared.drops import limits
from shared.errors import Rejected

# Control characters and the line ends of Unicode. Cloud Storage allows most of them, file systems and logs do not.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def fault_of(name: str) -> str | None:
    """Return why no file within the folder of a model can have this name, to continue a sentence; None if one can."""
    if len(name.encode()) > limits.NAME_BYTES:
        return f"has more than {limits.NAME_BYTES} bytes, which no object name can have"
    if _UNPRINTABLE.search(name):
        return "holds a control character or a line end"
    if not is_relative_path(name):
        return "has a part that is empty, . or .."
    if any(len(part.encode()) > limits.NAME_PART_BYTES for part in name.split("/")):
        return f"has a part with more than {limits.NAME_PART_BYTES} bytes"
    return None


def check_names(names: Collection[str]) -> None:
    """Raise ``Rejected`` for a name that no file can have, or that is the name of a folder too."""
    ordered = sorted(names)
    for name in ordered:
        # The first name of a folder follows directly in this order.
        after = bisect_left(ordered, f"{name}/")
        fault = fault_of(name)
        if fault is None and after < len(ordered) and ordered[after].startswith(f"{name}/"):
            fault = "is the name of a folder too"
        if fault is not None:
            raise Rejected(f"the file {name[:120]!r} {fault}; rename or delete it", code="wrong_name")
