"""Lists a bucket's objects page by page.

Rules: https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from sortedcontainers import SortedDict

from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.naming import LONGEST_OBJECT_NAME
from localcloud.storage.rules.resources import StoredObject

LARGEST_PAGE = 1000
_LAST_CHARACTER = chr(0x10FFFF)
# The length of what ``key_of_generation`` adds to a name.
_KEY_SUFFIX = 21


@dataclass(frozen=True)
class ListQuery:
    """The parameters of a list. Names start at ``start_offset`` and end before ``end_offset``, if these are set.

    With ``versions``, noncurrent generations are listed too; with ``soft_deleted``, only those that can be restored.
    """

    prefix: str = ""
    delimiter: str = ""
    start_offset: str = ""
    end_offset: str = ""
    match_glob: str = ""
    include_trailing_delimiter: bool = False
    page_token: str = ""
    max_results: int = LARGEST_PAGE
    versions: bool = False
    soft_deleted: bool = False


@dataclass(frozen=True)
class Page:
    """One page of a list; ``next_page_token`` is empty on the last."""

    items: list[StoredObject]
    prefixes: list[str]
    next_page_token: str


@dataclass(frozen=True)
class _Entry:
    """An object, a common prefix, or both with one name; ``following`` is where the next entry may begin."""

    stored: StoredObject | None
    prefix: str | None
    following: str


def list_page(objects: SortedDict, query: ListQuery) -> Page:
    """Return the page of ``objects`` that ``query`` selects.

    Args:
        objects: The objects by their names, or by what ``key_of_generation`` returns.
        query: The parameters.

    Raises:
        InvalidRequest: The page token or the glob is malformed.
    """
    entries = list(islice(_entries(objects, query), query.max_results + 1))
    page = entries[: query.max_results]
    more = len(entries) > len(page)
    return Page(
        items=[entry.stored for entry in page if entry.stored is not None],
        prefixes=[entry.prefix for entry in page if entry.prefix is not None],
        next_page_token=_token(page[-1].following) if more else "",
    )


def _entries(objects: SortedDict, query: ListQuery) -> Iterator[_Entry]:
    glob = _glob_pattern(query.match_glob) if query.match_glob else None
    position: str | None = max(query.prefix, query.start_offset, _position(query.page_token))
    while position is not None:
        keys, position = objects.irange(position), None
        for key in keys:
            name = key[:-_KEY_SUFFIX] if query.versions or query.soft_deleted else key
            if not name.startswith(query.prefix) or (query.end_offset and name >= query.end_offset):
                return
            cut = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
            folder = name[: cut + len(query.delimiter)] if cut >= 0 else None
            matches = glob is None or glob.fullmatch(folder or name)
            if folder is None:
                if matches:
                    yield _Entry(objects[key], None, key + "\0")
                continue
            # Skip the other names with this prefix.
            position = _after_all_with_prefix(folder)
            if matches:
                both = query.include_trailing_delimiter and name == folder
                yield _Entry(objects[key] if both else None, folder, position)
            break


def key_of_generation(stored: StoredObject) -> str:
    """Return a key that sorts the generations of many objects by name, then by generation."""
    return f"{stored.name}\0{stored.generation:0{_KEY_SUFFIX - 1}}"


def _after_all_with_prefix(prefix: str) -> str:
    """Return the smallest text that sorts after all names with ``prefix``."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    return stem[:-1] + chr(ord(stem[-1]) + 1) if stem else _LAST_CHARACTER * LONGEST_OBJECT_NAME


def _token(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode("utf-8", "surrogatepass")).decode()


def _position(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise InvalidRequest("Invalid argument: pageToken") from None


_GLOB_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|[{},]|\\.|.", re.DOTALL)
# A set of characters or an escape that the glob does not complete.
_UNFINISHED = ("[", "\\")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}


@lru_cache(maxsize=256)
def _glob_pattern(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a glob: https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-object-glob."""
    parts: list[str] = []
    depth = 0
    for token in _GLOB_TOKENS.findall(glob):
        if token in _UNFINISHED:
            raise InvalidRequest(f"Invalid glob pattern: {glob}: {token} has no end")
        depth += (token == "{") - (token == "}")
        if token in _MEANING:
            parts.append(_MEANING[token])
        elif token == "," and depth:
            parts.append("|")
        elif token.startswith("[") and len(token) > 1:
            members = token[1:-1].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
            parts.append(f"[^{members[1:]}]" if members.startswith("!") else f"[{members}]")
        elif token.startswith("\\") and len(token) == 2:
            parts.append(re.escape(token[1]))
        else:
            parts.append(re.escape(token))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise InvalidRequest(f"Invalid glob pattern: {glob}") from None
