"""Checks the signatures of signed URLs, versions 2 and 4.

Rules: https://cloud.google.com/storage/docs/authentication/signatures and
https://cloud.google.com/storage/docs/access-control/signed-urls-v2
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode

from localcloud.storage.rules.errors import NotImplementedHere
from localcloud.storage.xml.errors import ExpiredToken, InvalidSignature, SignatureMismatch, SignedHeadersDiffer

Verifier = Callable[[str, bytes, bytes], bool]
"""Returns whether an account, by its e-mail address, has signed a text with its key."""

_ALGORITHM = "GOOG4-RSA-SHA256"
_HMAC_ALGORITHM = "GOOG4-HMAC-SHA256"
LONGEST_LIFE = timedelta(days=7)
_TIME = "%Y%m%dT%H%M%SZ"
_PORT = re.compile(r":[0-9]+$")
_V2_PARAMETERS = ("GoogleAccessId", "Expires", "Signature")
# The key of the customer need not be signed: version 2 cannot sign it, and it is not known when a URL is signed.
_SECRET = ("x-goog-encryption-key", "x-goog-encryption-key-sha256")
# It is signed as the payload.
_PAYLOAD_HASH = "x-goog-content-sha256"
# These change the answer and are not part of what version 2 signs.
_OF_THE_ANSWER = ("response-content-type", "response-content-disposition")


@dataclass(frozen=True)
class SignedRequest:
    """What a signature is about.

    Attributes:
        method: The HTTP method.
        path: The path, with its escapes as sent.
        query: The query string as sent.
        headers: The headers by their names in small letters.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the query string."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


def check_signature(request: SignedRequest, verify: Verifier, now: datetime) -> None:
    """Check the signature of a request, if it has one.

    Args:
        request: The request.
        verify: Checks the signature of an account.
        now: The current time.

    Raises:
        InvalidSignature: A parameter of the signature is missing or malformed.
        SignedHeadersDiffer: The headers that are sent are not those that are signed.
        ExpiredToken: The time of the URL is over.
        SignatureMismatch: The signature is not that of the account over this request.
        NotImplementedHere: The request is signed with an HMAC key.
    """
    parameters = request.parameters()
    for name in parameters:
        if name.lower().startswith("x-amz-") or name == "AWSAccessKeyId":
            raise _hmac_refusal(name)
    # Google's libraries write X-Goog-Signature, gcloud writes x-goog-signature.
    of_version_4 = {name.lower(): value for name, value in parameters.items() if name.lower().startswith("x-goog-")}
    if "x-goog-signature" in of_version_4:
        _check_version_4(request, of_version_4, verify, now)
    elif "Signature" in parameters and "GoogleAccessId" in parameters:
        _check_version_2(request, parameters, verify, now)


def _check_version_4(request: SignedRequest, parameters: Mapping[str, str], verify: Verifier, now: datetime) -> None:
    email, scope = _credential(parameters)
    signed_at = parameters.get("x-goog-date", "")
    try:
        begin = datetime.strptime(signed_at, _TIME).replace(tzinfo=UTC)
        life = timedelta(seconds=int(parameters.get("x-goog-expires", "")))
        signature = bytes.fromhex(parameters["x-goog-signature"])
    except (ValueError, OverflowError):
        raise InvalidSignature(
            "X-Goog-Date, X-Goog-Expires or X-Goog-Signature is malformed: a time such as 20260101T000000Z, a number of"
            " seconds and a hexadecimal text are expected."
        ) from None
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise InvalidSignature(f"X-Goog-Expires must be from 1 to {int(LONGEST_LIFE.total_seconds())} seconds.")
    if now > begin + life:
        raise ExpiredToken(f"Request signature expired at: {(begin + life).isoformat()}")
    signed_headers = parameters.get("x-goog-signedheaders", "")
    _check_signed_headers(request.headers, signed_headers.split(";"))
    canonical = _canonical_request(request, request.headers, signed_headers)
    # Google's client for Node.js signs the host without its port.
    without_port = {**request.headers, "host": _PORT.sub("", request.headers.get("host", ""))}
    for form in (canonical, _canonical_request(request, without_port, signed_headers)):
        text = "\n".join([_ALGORITHM, signed_at, scope, hashlib.sha256(form.encode()).hexdigest()])
        if verify(email, text.encode(), signature):
            return
    raise SignatureMismatch("Access denied.", canonical)


def _check_signed_headers(sent: Mapping[str, str], signed: Sequence[str]) -> None:
    """Raise ``SignedHeadersDiffer`` unless all signed headers are sent, and those that must be signed are.

    These are the host, and those that begin with x-goog- or x-amz-. Otherwise the holder of a URL could ask for more than its
    signer allows. https://cloud.google.com/storage/docs/authentication/canonical-requests
    """
    for name in signed:
        if name not in sent:
            raise SignedHeadersDiffer(name, "Header was included in signedheaders, but not in the request.")
    for name in sent:
        is_extension = name.startswith(("x-goog-", "x-amz-")) and name not in (*_SECRET, _PAYLOAD_HASH)
        if (name == "host" or is_extension) and name not in signed:
            raise SignedHeadersDiffer(name, "Header was included in the request, but not in signedheaders.")


def _canonical_request(request: SignedRequest, headers: Mapping[str, str], signed_headers: str) -> str:
    """Return what version 4 signs: https://cloud.google.com/storage/docs/authentication/canonical-requests."""
    return "\n".join(
        [
            request.method,
            request.path,
            _canonical_query(request.query),
            *(f"{name}:{_one_line(headers[name])}" for name in signed_headers.split(";")),
            "",
            signed_headers,
            headers.get(_PAYLOAD_HASH, "UNSIGNED-PAYLOAD"),
        ]
    )


def check_form_signature(fields: Mapping[str, str], verify: Verifier) -> None:
    """Check the signature of a form with a policy.

    Args:
        fields: The fields of the form, by their names in small letters.
        verify: Checks the signature of an account.

    Raises:
        InvalidSignature: A field of the signature is missing or malformed.
        SignatureMismatch: The signature is not that of the account over the policy.
        NotImplementedHere: The form is signed with an HMAC key.
    """
    try:
        if "x-goog-signature" in fields:
            email, _ = _credential(fields)
            signature = bytes.fromhex(fields["x-goog-signature"])
        else:
            email = fields["googleaccessid"]
            _check_account(email)
            signature = base64.b64decode(fields["signature"], validate=True)
    except (KeyError, ValueError):
        raise InvalidSignature(
            "A form with a policy has x-goog-signature in hexadecimal, or GoogleAccessId and signature in base64."
        ) from None
    if not verify(email, fields["policy"].encode(), signature):
        raise SignatureMismatch("Access denied.", fields["policy"])


def _check_account(email: str) -> None:
    """Raise ``NotImplementedHere`` if what signs is an HMAC key, which has no address."""
    if "@" not in email:
        raise _hmac_refusal(email)


def _hmac_refusal(sign: str) -> NotImplementedHere:
    return NotImplementedHere(f"The local cloud does not have HMAC keys, with which this request is signed: {sign}.")


def _credential(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Return the account that signs with version 4, and the scope of its signature. Raises ``InvalidSignature``."""
    if parameters.get("x-goog-algorithm") == _HMAC_ALGORITHM:
        raise _hmac_refusal(_HMAC_ALGORITHM)
    if parameters.get("x-goog-algorithm") != _ALGORITHM:
        raise InvalidSignature(f"X-Goog-Algorithm must be {_ALGORITHM}: the local cloud checks no other signatures.")
    email, _, scope = parameters.get("x-goog-credential", "").partition("/")
    day = parameters.get("x-goog-date", "")[:8]
    if not re.fullmatch(rf"{re.escape(day)}/[^/]+/storage/goog4_request", scope):
        raise InvalidSignature("X-Goog-Credential must be EMAIL/YYYYMMDD/LOCATION/storage/goog4_request.")
    return email, scope


def _check_version_2(request: SignedRequest, parameters: Mapping[str, str], verify: Verifier, now: datetime) -> None:
    try:
        expires = datetime.fromtimestamp(int(parameters.get("Expires", "")), UTC)
        signature = base64.b64decode(parameters["Signature"], validate=True)
    except (ValueError, OverflowError, OSError, binascii.Error):
        raise InvalidSignature("Expires must be a number of seconds since 1970, and Signature base64.") from None
    if now > expires:
        raise ExpiredToken(f"Request signature expired at: {expires.isoformat()}")
    _check_account(parameters["GoogleAccessId"])
    others = sorted(
        (name.lower(), value.strip())
        for name, value in parameters.items()
        if name not in _V2_PARAMETERS and name not in _OF_THE_ANSWER and name != "generation"
    )
    extensions = [
        f"{name}:{_one_line(value)}"
        for name, value in sorted(request.headers.items())
        if name.startswith("x-goog-") and name not in _SECRET
    ]
    signed = "\n".join(
        [
            request.method,
            request.headers.get("content-md5", ""),
            request.headers.get("content-type", ""),
            parameters["Expires"],
            *extensions,
            f"{request.path}?{urlencode(others)}" if others else request.path,
        ]
    )
    # A client may sign the path with other escapes than those with which it sends it.
    texts = {signed, signed.replace(request.path, quote(unquote(request.path), safe="/~"))}
    if not any(verify(parameters["GoogleAccessId"], text.encode(), signature) for text in texts):
        raise SignatureMismatch("Access denied.", signed)


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(unquote(name), unquote(value)) for name, _, value in pairs]
    kept = [(name, value) for name, value in decoded if name.lower() != "x-goog-signature"]
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(kept))


def _one_line(value: str) -> str:
    return " ".join(value.split())
