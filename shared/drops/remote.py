"""The `remote` of a `modeldrop.yaml`: the drop becomes a remote model over Gemini, and holds no files.

https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-remote-model
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.checks.fields import Fields
from shared.checks.identifiers import PROJECT
from shared.cloud.publisher_models import DEFAULT_MODEL

# The type of a drop that becomes a remote model. It is not a type of BigQuery's.
REMOTE = "REMOTE"
DEFAULT_CONNECTION = "DEFAULT"
_CONNECTION = re.compile(rf"(?:{PROJECT}\.)?[A-Za-z][A-Za-z0-9-]{{1,62}}\.[A-Za-z0-9_-]{{1,1024}}")
# A short name, or the URL of an endpoint.
_ENDPOINT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9@._-]{0,127}|https://[a-z0-9.-]+\.googleapis\.com/[A-Za-z0-9/@:._-]{1,500}"
)


@dataclass(frozen=True)
class RemoteModel:
    """The connection and the endpoint of a remote model."""

    connection: str
    endpoint: str

    @classmethod
    def read(cls, fields: Fields) -> RemoteModel:
        """Read the field `remote`; raise ``Rejected`` with the first field that is wrong."""
        connection, endpoint = fields.text("connection"), fields.text("endpoint")
        fields.reject_unknown()
        if connection != DEFAULT_CONNECTION and not _CONNECTION.fullmatch(connection):
            raise fields.wrong(
                "connection", f"is {connection[:80]!r}; write location.connection, such as us.gemini_conn, or DEFAULT"
            )
        if not _ENDPOINT.fullmatch(endpoint):
            raise fields.wrong(
                "endpoint", f"is {endpoint[:80]!r}; write a model, such as {DEFAULT_MODEL}, or its https URL"
            )
        return cls(connection, endpoint)

    @property
    def connection_sql(self) -> str:
        """The connection, for a statement."""
        return self.connection if self.connection == DEFAULT_CONNECTION else f"`{self.connection}`"
