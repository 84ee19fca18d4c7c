"""The headers with which a bucket lets web pages of other origins use its objects.

Rules: https://cloud.google.com/storage/docs/cross-origin and https://cloud.google.com/storage/docs/cors-configurations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers

from localcloud.storage.rules.resources import Bucket

REQUESTED_METHOD = "access-control-request-method"
"""The header of a preflight request, with which a browser asks whether a page may send another one."""
_ANY = "*"


def cors_headers(bucket: Bucket, headers: Headers, method: str) -> dict[str, str]:
    """Return the headers of the answer to a page that may send ``method``; empty if it may not, or if no page asks."""
    origin = headers.get("origin")
    if origin is None:
        return {}
    for rule in bucket.settings.get("cors") or []:
        origins, methods = rule.get("origin") or [], rule.get("method") or []
        if (_ANY in origins or origin in origins) and (_ANY in methods or method in methods):
            shown = _ANY if _ANY in origins else origin
            return {"access-control-allow-origin": shown, "vary": "Origin", **_permissions(rule, headers)}
    return {}


def _permissions(rule: Mapping[str, Any], headers: Headers) -> dict[str, str]:
    allowed = rule.get("responseHeader") or []
    if REQUESTED_METHOD not in headers:
        return {"access-control-expose-headers": ", ".join(allowed)} if allowed else {}
    asked = [name.strip() for name in headers.get("access-control-request-headers", "").split(",") if name.strip()]
    known = {name.lower() for name in allowed}
    granted = [name for name in asked if _ANY in known or name.lower() in known]
    return {
        "access-control-allow-methods": ", ".join(rule["method"]),
        **({"access-control-allow-headers": ", ".join(granted)} if granted else {}),
        "access-control-max-age": str(rule.get("maxAgeSeconds", 3600)),
    }
