"""The parts of Pub/Sub that the local one does not have. It refuses them by name; docs/pubsub.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.pubsub.errors import Unimplemented

UNSUPPORTED_METHODS: Mapping[str, str] = {
    "schema": "schemas",
    "snapshot": "snapshots",
}
"""What methods belong to, by a part of their names in small letters."""

UNSUPPORTED_FIELDS: Mapping[str, Mapping[str, str]] = {
    "Topic": {
        "ingestion_data_source_settings": "ingestion from other services",
        "kms_key_name": "Cloud KMS keys",
        "message_retention_duration": "retention of a topic (set that of its subscriptions, with retain_acked_messages)",
        "message_storage_policy": "storage policies: messages stay on this machine",
        "message_transforms": "message transforms",
        "schema_settings": "schemas",
        "tags": "tags",
    },
    "Subscription": {
        "bigquery_config": "export to BigQuery",
        "bigtable_config": "export to Bigtable",
        "cloud_storage_config": "export to Cloud Storage",
        "message_transforms": "message transforms",
        "tags": "tags",
    },
}
"""The fields that are refused if they have a value, and what they belong to, by the message type."""

KEPT_FIELDS: Mapping[str, Mapping[str, str]] = {
    "Subscription": {"expiration_policy": "subscriptions do not expire"},
    "PushConfig": {
        "attributes": "pushes of both versions have the same form",
        "oidc_token": "pushes carry no token, because no receiver can check one",
        "pubsub_wrapper": "it is the default; no_wrapper is honoured",
    },
    "PubsubMessage": {"message_id": "the service sets it", "publish_time": "the service sets it"},
}
"""The fields that are accepted and have no effect, and why, by the message type."""

KEPT_PARAMETERS: Mapping[str, str] = {
    "$.xgafv": "errors have one form",
    "access_token": "calls need no token",
    "callback": "answers are JSON only",
    "key": "calls need no key",
    "oauth_token": "calls need no token",
    "prettyPrint": "answers are not indented",
    "quotaUser": "calls are not counted, so they cannot exceed a quota",
    "uploadType": "there are no uploads",
    "upload_protocol": "there are no uploads",
}
"""The parameters of the query string that are accepted and have no effect, and why."""


def check_fields(message: Any) -> None:
    """Raise ``Unimplemented`` if a message has a field that is not carried out."""
    unsupported = UNSUPPORTED_FIELDS[message.DESCRIPTOR.name]
    for field, _ in message.ListFields():
        if field.name in unsupported:
            raise Unimplemented(f"The local Pub/Sub does not have {unsupported[field.name]}: {field.name}.")


def method_refusal(method: str) -> Unimplemented:
    """Return the error for a method that is not here, by its RPC name or its path."""
    compact = method.replace("_", "").lower()
    for part, name in UNSUPPORTED_METHODS.items():
        if part in compact:
            return Unimplemented(f"The local Pub/Sub does not have {name}: {method}.")
    return Unimplemented(f"The local Pub/Sub does not have the method {method}.")
