"""Lists of objects in the XML API.

https://cloud.google.com/storage/docs/xml-api/get-bucket-list
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from starlette.responses import Response

from localcloud.base.clock import rfc3339
from localcloud.storage.objects.listing import LARGEST_PAGE, ListQuery, Page
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import InvalidRequest, NotImplementedHere
from localcloud.storage.rules.preconditions import integer_parameter
from localcloud.storage.rules.resources import StoredObject
from localcloud.storage.xml.errors import xml_answer
from localcloud.storage.xml.targets import quoted_etag

_NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"
_PARAMETERS = frozenset(
    [
        "prefix",
        "delimiter",
        "max-keys",
        "marker",
        "list-type",
        "continuation-token",
        "start-after",
        "encoding-type",
        "fetch-owner",
    ]
)
# Of signed URLs, which are checked before.
_SIGNATURE = frozenset({"googleaccessid", "expires", "signature"})
_LAST_CHARACTER = chr(0x10FFFF)


def list_objects(store: ObjectStore, bucket: str, parameters: Mapping[str, str]) -> Response:
    """Return a page of the objects of a bucket, in version 1 or 2 of the list.

    Args:
        store: The objects.
        bucket: The name of the bucket.
        parameters: The parameters of the query string.

    Raises:
        NotImplementedHere: A parameter is of another method of buckets, or is not carried out.
        InvalidRequest: A parameter has an invalid value.
    """
    for name, value in parameters.items():
        if name.lower() in _SIGNATURE or name.lower().startswith("x-goog-"):
            continue
        if name not in _PARAMETERS or (name == "fetch-owner" and value != "false"):
            raise NotImplementedHere(
                f"The local cloud has the list of objects of the XML API, without {name}; use the JSON API."
            )
    if parameters.get("list-type", "2") != "2" or parameters.get("encoding-type", "url") != "url":
        raise InvalidRequest("Invalid argument: list-type is 2, and encoding-type is url.")
    size = integer_parameter(parameters, "max-keys")
    if size is not None and size < 0:
        raise InvalidRequest(f"Invalid argument: max-keys {size} is negative.")
    size = LARGEST_PAGE if size is None else min(size, LARGEST_PAGE)
    delimiter = parameters.get("delimiter", "")
    query = ListQuery(
        prefix=parameters.get("prefix", ""),
        delimiter=delimiter,
        start_offset=_after(parameters.get("marker") or parameters.get("start-after") or "", delimiter),
        page_token=parameters.get("continuation-token", ""),
        max_results=size,
    )
    page = store.page(bucket, query) if size else Page([], [], "")
    return xml_answer(_result(bucket, parameters, size, page))


def _after(marker: str, delimiter: str) -> str:
    """Return where the names after a marker begin: after its whole folder, if it is one."""
    if not marker:
        return ""
    return marker + (_LAST_CHARACTER if delimiter and marker.endswith(delimiter) else "\0")


def _result(bucket: str, parameters: Mapping[str, str], size: int, page: Page) -> Element:
    is_url = "encoding-type" in parameters
    root = Element("ListBucketResult", {"xmlns": _NAMESPACE})

    def add(name: str, value: str, parent: Element = root, *, is_name: bool = False) -> None:
        SubElement(parent, name).text = quote(value) if is_name and is_url else value

    add("Name", bucket)
    add("Prefix", parameters.get("prefix", ""), is_name=True)
    if parameters.get("delimiter"):
        add("Delimiter", parameters["delimiter"], is_name=True)
    if "list-type" in parameters:
        add("KeyCount", str(len(page.items) + len(page.prefixes)))
        if page.next_page_token:
            add("NextContinuationToken", page.next_page_token)
    else:
        add("Marker", parameters.get("marker", ""), is_name=True)
        if page.next_page_token:
            last = max([*(stored.name for stored in page.items[-1:]), *page.prefixes[-1:]])
            add("NextMarker", last, is_name=True)
    add("MaxKeys", str(size))
    add("IsTruncated", str(bool(page.next_page_token)).lower())
    for stored in page.items:
        contents = SubElement(root, "Contents")
        add("Key", stored.name, contents, is_name=True)
        for name, value in _details(stored).items():
            add(name, value, contents)
    for prefix in page.prefixes:
        add("Prefix", prefix, SubElement(root, "CommonPrefixes"), is_name=True)
    return root


def _details(stored: StoredObject) -> dict[str, str]:
    return {
        "Generation": str(stored.generation),
        "MetaGeneration": str(stored.metageneration),
        "LastModified": rfc3339(stored.updated),
        "ETag": quoted_etag(stored),
        "Size": str(stored.size),
    }
