"""The errors of the XML API: https://cloud.google.com/storage/docs/xml-api/reference-status."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from starlette.responses import Response

from localcloud.base.api_errors import ApiError
from localcloud.storage.rules.errors import ContentTooLarge, ContentTooSmall, InvalidRequest, StorageError

# https://cloud.google.com/storage/docs/xml-api/post-object-multipart
UPLOADS_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
"""The namespace of the documents about uploads in parts."""
_XML = "application/xml; charset=UTF-8"

# The code in the XML API, by the reason in the JSON API.
_CODES = {
    "invalid": "InvalidArgument",
    "required": "InvalidArgument",
    "forbidden": "AccessDenied",
    "retentionPolicyNotMet": "RetentionPolicyNotMet",
    "conflict": "Conflict",
    "conditionNotMet": "PreconditionFailed",
    "requestedRangeNotSatisfiable": "InvalidRange",
    "rateLimitExceeded": "SlowDown",
    "notImplemented": "NotImplemented",
    "httpMethodNotAllowed": "MethodNotAllowed",
    "backendError": "ServiceUnavailable",
}
# The code of errors that share their reason with others.
_CODES_OF_CLASSES: Mapping[type[ApiError], str] = {
    ContentTooSmall: "EntityTooSmall",
    ContentTooLarge: "EntityTooLarge",
}


class XmlError(StorageError):
    """A request that only the XML API refuses."""

    xml_code = "InvalidArgument"
    code, reason, status = 400, "invalid", "INVALID_ARGUMENT"
    details: Mapping[str, str] = {}
    """Further elements of the answer."""


class InvalidSignature(XmlError):
    """A parameter of a signature is missing or malformed."""

    xml_code = "MalformedSecurityHeader"


class InvalidPolicyDocument(XmlError):
    """The policy of a form is malformed, or the form does not meet its conditions."""

    xml_code = "InvalidPolicyDocument"


class ExpiredToken(XmlError):
    """The time of a signed URL is over."""

    xml_code = "ExpiredToken"


class SignedHeadersDiffer(InvalidSignature):
    """A header should be signed and is not sent, or the other way round."""

    def __init__(self, header: str, details: str) -> None:
        """Create the error about ``header``, with the elements that Cloud Storage sends."""
        super().__init__("Your request has a malformed header.")
        self.details = {"ParameterName": header, "Details": details}


class SignatureMismatch(XmlError):
    """A signature does not fit the request."""

    xml_code = "SignatureDoesNotMatch"
    code, reason, status = 403, "forbidden", "PERMISSION_DENIED"

    def __init__(self, message: str, signed_text: str) -> None:
        """Create the error; ``signed_text`` is the text that should have been signed, as Cloud Storage shows it."""
        super().__init__(message)
        self.details = {"StringToSign": signed_text}


class NoSuchUpload(XmlError):
    """There is no upload in parts with this id."""

    xml_code = "NoSuchUpload"
    code, reason, status = 404, "notFound", "NOT_FOUND"


class InvalidPart(XmlError):
    """A part is missing or has changed."""

    xml_code = "InvalidPart"


class TooSmall(XmlError):
    """A part that is not the last one is too small."""

    xml_code = "EntityTooSmall"


def error_answer(error: ApiError, *, with_body: bool = True) -> Response:
    """Return the answer that reports ``error``."""
    if error.code == 304 or not with_body:
        return Response(status_code=error.code, headers=error.headers)
    reason = getattr(error, "reason", "")
    by_reason = _CODES.get(reason, "InvalidArgument")
    code = error.xml_code if isinstance(error, XmlError) else _CODES_OF_CLASSES.get(type(error), by_reason)
    if reason == "notFound" and not isinstance(error, XmlError):
        code = "NoSuchBucket" if "bucket does not exist" in error.message else "NoSuchKey"
    if isinstance(error, InvalidRequest) and "doesn't match calculated" in error.message:
        code = "BadDigest"
    fields = {"Code": code, "Message": error.message}
    if isinstance(error, XmlError):
        fields |= error.details
    return document("Error", fields, status=error.code, headers=error.headers)


def document(
    root: str,
    fields: Mapping[str, str],
    *,
    namespace: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer whose body is an XML document with ``fields`` as its elements."""
    element = ElementTree.Element(root, {} if namespace is None else {"xmlns": namespace})
    for name, value in fields.items():
        ElementTree.SubElement(element, name).text = value
    return xml_answer(element, status=status, headers=headers)


def xml_answer(
    element: ElementTree.Element, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer whose body is the XML document of ``element``."""
    body = ElementTree.tostring(element, encoding="UTF-8", xml_declaration=True)
    return Response(body, status, headers, media_type=_XML)
