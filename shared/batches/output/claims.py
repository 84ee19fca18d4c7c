"""Claims on the tables that open batches write, so that no batch is paid whose answers cannot be written.

A table that was empty when a batch began must still be empty when its answers are moved, unless the batch may add to rows or
replace them. The ledger has one record for each table, with the batches that will write it. A claim counts only while the item
of its batch is open, so that no crash reserves a table for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.batches.request import BatchRequest, Output
from shared.checks.identifiers import TableName
from shared.engine.services import Services
from shared.errors import LostRace, Rejected, TryLater, Unreadable
from shared.keys import hash_of
from shared.work import Item, Kind

CLAIMS = "ledger/outputs/"
EMPTY = "empty"
_ROUNDS = 5
# Claims of batches that have ended are removed once a record has more than these.
_MOST_CLAIMS = 20


def claim_outputs(item: Item, request: BatchRequest, services: Services) -> None:
    """Claim the tables that a request names for its answers and its results.

    Raises:
        Rejected: An open batch writes one of the tables, and one of the two batches needs it to be empty.
        TryLater: Cloud Storage did not answer, or other calls change the claims.
    """
    for target, write, field in _outputs(request):
        name, _, partition = target.table.partition("$")
        table = TableName(target.project, target.dataset, name)
        _claim(item.key, table, f"{write}${partition}" if partition else write, field, services)


def _outputs(request: BatchRequest) -> Iterator[tuple[TableName, str, str]]:
    """Yield the tables that a request names, with what happens to their rows and the field of each.

    A table whose name Modeldrop chooses belongs to one batch alone.
    """
    match request.output:
        case Output(place=TableName() as table, write=write):
            yield table, write, "output"
    if request.results is not None:
        yield request.results.table, request.results.write, "results.table"


def _claim(key: str, table: TableName, write: str, field: str, services: Services) -> None:
    objects = services.ledger.objects
    name = f"{CLAIMS}{hash_of('output', str(table))}.json"
    for _ in range(_ROUNDS):
        claims, generation = _read(name, services)
        before = dict(claims)
        others = [other for other, its_write in claims.items() if other != key and _exclude(write, its_write)]
        for other in others if len(claims) < _MOST_CLAIMS else [each for each in claims if each != key]:
            if _is_open(other, services):
                if other in others:
                    raise _in_use(table, other, field)
            else:
                del claims[other]
        claims[key] = write
        if claims == before:
            return
        try:
            objects.write(name, {"table": str(table), "claims": claims}, generation=generation)
        except LostRace:
            continue
        return
    raise TryLater(f"other batches claim the table {table} at the same time")


def _exclude(write: str, other: str) -> bool:
    """Return whether two claims exclude each other: one needs to find no rows where the other may write some."""
    (write, _, partition), (other, _, other_partition) = write.partition("$"), other.partition("$")
    is_elsewhere = partition and other_partition and partition != other_partition
    return EMPTY in {write, other} and not is_elsewhere


def _read(name: str, services: Services) -> tuple[dict[str, str], int]:
    """Return the claims on a table by the keys of their batches, and the generation of the record; 0 if there is none."""
    try:
        record = services.ledger.objects.read(name)
    except Unreadable as error:
        # The claims are lost, and the move of the answers still keeps all rows.
        return {}, error.generation
    if record is None:
        return {}, 0
    return _texts(record.value.get("claims")), record.generation


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {key: write for key, write in value.items() if isinstance(key, str) and isinstance(write, str)}


def _is_open(key: str, services: Services) -> bool:
    # A batch whose item cannot be read must not reserve a table.
    item = services.ledger.find(Kind.BATCH, key)
    return item is not None and not item.final


def _in_use(table: TableName, key: str, field: str) -> Rejected:
    return Rejected(
        f"the batch {key} is still running and writes the table {table}, and one of the two batches needs it to be empty "
        "(write: empty): send this one after the event of the other, cancel the other, write another table, or let both append",
        field=field,
        code="output_in_use",
    )
