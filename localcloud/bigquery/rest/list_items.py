"""The entries of tables in lists, which have fewer fields than the tables' resources.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables/list
"""

from __future__ import annotations

from typing import Any

from bqemulator.catalog.models import TableMeta

from localcloud.bigquery.job.jobs import milliseconds
from localcloud.bigquery.tables.partitions import complete_resource

_NOT_IN_LISTS = ("requirePartitionFilter", "snapshotDefinition", "cloneDefinition")


def complete_list_item(item: dict[str, Any], table: TableMeta) -> None:
    """Add what bqemulator's entry of a table lacks: partitioning, clustering, labels, the name and the expiration."""
    if table.time_partitioning is not None and table.range_partitioning is None:
        given = table.time_partitioning
        found = {"type": given.type, "field": given.field, "expirationMs": given.expiration_ms}
        item["timePartitioning"] = {name: str(value) for name, value in found.items() if value is not None}
    if table.clustering is not None:
        item["clustering"] = {"fields": list(table.clustering.fields)}
    if table.labels:
        item["labels"] = dict(table.labels)
    if table.friendly_name:
        item["friendlyName"] = table.friendly_name
    if table.expiration_time is not None:
        item["expirationTime"] = str(milliseconds(table.expiration_time))
    if table.table_type == "VIEW":
        item["view"] = {"useLegacySql": False}
    complete_resource(item, table)
    for name in _NOT_IN_LISTS:
        item.pop(name, None)
