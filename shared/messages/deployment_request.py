"""How a model is deployed, as a manage message and the `deploy` of a `modeldrop.yaml` say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.checks.fields import Fields

# The display name of an endpoint, which is part of a filter; or its number.
ENDPOINT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,126}[A-Za-z0-9_.-])?")
_RESOURCE_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/endpoints/([0-9]+)")
ENDPOINT_FORM = (
    "up to 128 of A-Z, a-z, 0-9, space, _, . and -, beginning with a letter or a digit: the display name of an endpoint, "
    "or its number"
)

# https://cloud.google.com/vertex-ai/docs/predictions/configure-compute
MACHINE_TYPE = re.compile(r"[a-z][a-z0-9]{1,15}(?:-[a-z0-9]{1,15}){1,4}")
# What the client libraries of Vertex AI choose.
DEFAULT_MACHINE_TYPE = "n1-standard-2"
ALL_TRAFFIC = 100


@dataclass(frozen=True)
class DeploymentRequest:
    """The endpoint of a model, its machine and its share of the requests."""

    endpoint: str
    """The display name of the endpoint, or its number."""
    machine_type: str = DEFAULT_MACHINE_TYPE
    traffic: int = ALL_TRAFFIC
    """How many of 100 requests to the endpoint the model gets; the other models keep their shares of the rest."""

    @classmethod
    def read(cls, fields: Fields) -> DeploymentRequest:
        """Read `endpoint`, `machine_type` and `traffic`; raise ``Rejected`` with the first field that is wrong."""
        endpoint = fields.text("endpoint")
        check_endpoint(endpoint, fields)
        machine_type = fields.optional_text("machine_type") or DEFAULT_MACHINE_TYPE
        if not MACHINE_TYPE.fullmatch(machine_type):
            raise fields.wrong(
                "machine_type", f"is {machine_type[:80]!r}; write a machine type, such as {DEFAULT_MACHINE_TYPE}"
            )
        traffic = fields.optional_whole("traffic", least=0, most=ALL_TRAFFIC)
        return cls(endpoint, machine_type, ALL_TRAFFIC if traffic is None else traffic)


def check_endpoint(text: str, fields: Fields) -> None:
    """Raise ``Rejected`` about the field `endpoint` unless ``text`` is a display name, or the number of an endpoint."""
    if not ENDPOINT.fullmatch(text):
        found = _RESOURCE_NAME.fullmatch(text)
        meant = f"; did you mean {found[1]}?" if found else ""
        raise fields.wrong("endpoint", f"is {text[:80]!r}; write {ENDPOINT_FORM}{meant}")
