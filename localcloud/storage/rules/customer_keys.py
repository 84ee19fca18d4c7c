"""Encryption: an object that was written with a customer-supplied key is read only with it.

The local cloud does not encrypt; it keeps the hash of the key and compares.
Rules: https://cloud.google.com/storage/docs/encryption/customer-supplied-keys and
https://cloud.google.com/storage/docs/encryption/enforce-encryption-types
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.storage.rules.errors import CustomerKeyProblem, PreconditionFailed
from localcloud.storage.rules.resources import Bucket

ALGORITHM = "AES256"
_KEY_BYTES = 32
_BY_GOOGLE, _BY_CUSTOMER = "googleManagedEncryptionEnforcementConfig", "customerSuppliedEncryptionEnforcementConfig"
_RESTRICTED = "FullyRestricted"


def key_hash(headers: Mapping[str, str], *, of_source: bool = False) -> str | None:
    """Return the SHA-256 in base64 of the key in a request's headers; ``None`` if it has no key.

    Args:
        headers: The headers of the request.
        of_source: Read the key of the source of a copy.

    Raises:
        CustomerKeyProblem: The headers are not complete, or do not fit together.
    """
    prefix = "x-goog-copy-source-encryption" if of_source else "x-goog-encryption"
    algorithm, text, announced = (headers.get(f"{prefix}-{part}") for part in ("algorithm", "key", "key-sha256"))
    if algorithm is None and text is None and announced is None:
        return None
    if algorithm != ALGORITHM:
        raise CustomerKeyProblem(
            "customerEncryptionAlgorithmIsInvalid",
            f"Missing an encryption algorithm, or the provided algorithm is not '{ALGORITHM}'.",
        )
    try:
        key = base64.b64decode(text or "", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise CustomerKeyProblem(
            "customerEncryptionKeyFormatIsInvalid",
            "Missing an encryption key, or it is not base64 encoded, or it does not meet the required length of"
            f" {_KEY_BYTES} bytes.",
        )
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    if announced != digest:
        raise CustomerKeyProblem(
            "customerEncryptionKeySha256IsInvalid",
            "Missing a SHA256 hash of the encryption key, or it is not base64 encoded, or it does not match the"
            " encryption key.",
        )
    return digest


def check_key(stored_hash: str | None, given_hash: str | None) -> None:
    """Raise ``CustomerKeyProblem`` unless an object with the key of ``stored_hash`` can be read with the given key."""
    if stored_hash == given_hash:
        return
    if given_hash is None:
        raise CustomerKeyProblem(
            "resourceIsEncryptedWithCustomerEncryptionKey",
            "The target object is encrypted by a customer-supplied encryption key.",
        )
    if stored_hash is None:
        raise CustomerKeyProblem(
            "resourceNotEncryptedWithCustomerEncryptionKey",
            "The target object is not encrypted by a customer-supplied encryption key.",
        )
    raise CustomerKeyProblem("customerEncryptionKeyIsIncorrect", "The provided encryption key is incorrect.")


def check_encryption(bucket: Bucket, key_hash: str | None) -> None:
    """Raise ``PreconditionFailed`` if the bucket restricts new objects with a customer's key, or those without one."""
    rule = _BY_GOOGLE if key_hash is None else _BY_CUSTOMER
    if bucket.settings.get("encryption", {}).get(rule, {}).get("restrictionMode") == _RESTRICTED:
        kind = "Google-managed" if key_hash is None else "customer-supplied"
        raise PreconditionFailed(
            f"The bucket {bucket.name} restricts new objects with {kind} encryption keys (encryption.{rule})."
        )


def with_enforcement(settings: Mapping[str, Any], before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the ``settings`` of a bucket, with the times from which its restrictions of encryption are effective.

    Args:
        settings: The settings as the caller wants them.
        before: The settings so far; empty for a new bucket.
        now: The time at which a new restriction takes effect.
    """
    rules = settings.get("encryption", {})
    completed = {}
    for name, rule in rules.items():
        if isinstance(rule, dict):
            restricted = rule.get("restrictionMode") == _RESTRICTED
            since = before.get("encryption", {}).get(name, {}).get("effectiveTime", rfc3339(now))
            rule = {"restrictionMode": rule.get("restrictionMode", "NotRestricted")}
            rule |= {"effectiveTime": since} if restricted else {}
        completed[name] = rule
    return {**settings, "encryption": completed} if completed else dict(settings)
