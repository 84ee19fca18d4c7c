"""The form of the bindings of an IAM policy, the same for all services. The local cloud checks no permissions.

https://cloud.google.com/iam/docs/reference/rest/v1/Policy and https://cloud.google.com/iam/docs/principal-identifiers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ROLE = re.compile(r"((projects|organizations)/[^/\s]+/)?roles/[\w.]+")
_KINDS = "user|serviceAccount|group|domain|projectOwner|projectEditor|projectViewer|principal|principalSet"
_MEMBER = re.compile(rf"allUsers|allAuthenticatedUsers|(deleted:)?({_KINDS}):\S+")


def check_binding(binding: object) -> None:
    """Raise ``ValueError``, which says what is wrong, unless ``binding`` is a binding in JSON."""
    if not isinstance(binding, dict):
        raise ValueError(f"{binding!r} is not a binding of a role to members")
    role, members = binding.get("role"), binding.get("members")
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise ValueError(f"{role!r} is not a role, such as roles/viewer")
    if not isinstance(members, list):
        raise ValueError(f"{role} has no list of members")
    for member in members:
        if not isinstance(member, str) or not _MEMBER.fullmatch(member):
            raise ValueError(f"{member!r} is not a member, such as user:ada@example.com")
    if binding.get("condition") is not None:
        _check_condition(binding["condition"])


def _check_condition(condition: object) -> None:
    if (
        not isinstance(condition, Mapping)
        or not _has_text(condition, "title")
        or not _has_text(condition, "expression")
    ):
        raise ValueError("a condition has a title and an expression")


def _has_text(condition: Mapping[str, Any], name: str) -> bool:
    return isinstance(condition.get(name), str) and bool(condition[name])
