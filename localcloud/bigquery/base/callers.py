"""The caller of a job, as far as row access policies know it."""

from __future__ import annotations

from collections.abc import Mapping

from bqemulator.row_access.identity import CALLER_HEADER, CallerIdentity, resolve_caller_from_headers


class Caller(str):
    """The e-mail address of a caller whose kind and groups a request names.

    Attributes:
        identity: The caller for row access policies.
    """

    __slots__ = ("identity",)

    identity: CallerIdentity


def named_caller(headers: Mapping[str, str]) -> Caller | None:
    """Return the caller that a request names in bqemulator's headers, or None.

    ``X-Bqemu-Caller`` is a member such as ``user:a@example.com``, and ``X-Bqemu-Groups`` a list of its groups.
    """
    if CALLER_HEADER not in headers:
        return None
    identity = resolve_caller_from_headers(headers)
    caller = Caller(identity.email or identity.principal)
    caller.identity = identity
    return caller


def identity_of(user: str) -> CallerIdentity:
    """Return the caller for row access policies; an address without a kind is that of a service account."""
    return user.identity if isinstance(user, Caller) else CallerIdentity(principal=f"serviceAccount:{user}")
