"""Lists of the parts of an upload: https://cloud.google.com/storage/docs/xml-api/get-object-multipart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from xml.etree.ElementTree import Element, SubElement

from starlette.responses import Response

from localcloud.base.clock import rfc3339
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.preconditions import integer_parameter
from localcloud.storage.xml.errors import UPLOADS_NAMESPACE, xml_answer
from localcloud.storage.xml.parts import PartUpload

_LARGEST_PAGE = 1000


def list_parts(upload: PartUpload, parameters: Mapping[str, str]) -> Response:
    """Return a page of the parts of an upload. Raises ``InvalidRequest`` if a parameter has an invalid value."""
    after, most = (_number(parameters, name) for name in ("part-number-marker", "max-parts"))
    size = _LARGEST_PAGE if most is None else min(most, _LARGEST_PAGE)
    following = {number: part for number, part in sorted(upload.parts.items()) if number > (after or 0)}
    shown = dict(islice(following.items(), size))
    root = Element("ListPartsResult", {"xmlns": UPLOADS_NAMESPACE})
    for name, value in {
        "Bucket": upload.bucket,
        "Key": upload.name,
        "UploadId": upload.id,
        "StorageClass": upload.fields.storage_class or "STANDARD",
        "PartNumberMarker": str(after or 0),
        "NextPartNumberMarker": str(max(shown, default=after or 0)),
        "MaxParts": str(size),
        "IsTruncated": str(len(shown) < len(following)).lower(),
    }.items():
        SubElement(root, name).text = value
    for number, part in shown.items():
        element = SubElement(root, "Part")
        for name, value in {
            "PartNumber": str(number),
            "LastModified": rfc3339(part.uploaded),
            "ETag": part.etag,
            "Size": str(part.content.size),
        }.items():
            SubElement(element, name).text = value
    return xml_answer(root)


def _number(parameters: Mapping[str, str], name: str) -> int | None:
    number = integer_parameter(parameters, name)
    if number is not None and number < 0:
        raise InvalidRequest(f"Invalid argument: {name} {number} is negative.")
    return number
