"""The ledger's record of each model: which version is current, being imported and pinned, so that imports take turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from shared.checks.identifiers import ModelName
from shared.drops.drop import ModelRecord
from shared.engine.ledger import MODELS, Ledger
from shared.errors import LostRace, TryLater
from shared.keys import hash_of
from shared.work import Kind

_ROUNDS = 5


class ModelRecords:
    """The records of all models in one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self, model: ModelName) -> ModelRecord:
        """Return what is known of ``model``; an empty record if nothing is."""
        record = self._ledger.read_record(_name(model))
        return _from(record.value) if record else ModelRecord()

    def take_turn(self, model: ModelName, version: str, key: str) -> ModelRecord:
        """Mark the import ``key`` as the one under way, unless another one is or a higher version was imported.

        Returns the record as it then stands: the caller has the turn if ``in_flight`` has its key.
        """

        def take(record: ModelRecord) -> ModelRecord:
            flying = record.in_flight
            if record.superseded(version) or (flying and flying["key"] != key and self._is_open(flying["key"])):
                return record
            return replace(record, in_flight={"key": key, "version": version})

        return self._change(model, take)

    def leave_turn(self, model: ModelName, key: str, imported: dict[str, str] | None) -> None:
        """Mark the import ``key`` as over; ``imported`` says which version and fingerprint the model now has."""

        def leave(record: ModelRecord) -> ModelRecord:
            if record.in_flight is None or record.in_flight["key"] != key:
                return record
            return replace(record, in_flight=None, current=imported or record.current)

        self._change(model, leave)

    def _is_open(self, key: str) -> bool:
        item = self._ledger.read(Kind.IMPORT, key)
        return item is not None and not item.final

    def _change(self, model: ModelName, change: Callable[[ModelRecord], ModelRecord]) -> ModelRecord:
        name = _name(model)
        for _ in range(_ROUNDS):
            stored = self._ledger.read_record(name)
            before = _from(stored.value) if stored else ModelRecord()
            after = change(before)
            if after == before:
                return before
            try:
                self._ledger.write_record(
                    name, {"model": str(model), **asdict(after)}, generation=stored.generation if stored else 0
                )
            except LostRace:
                continue
            return after
        raise TryLater(f"the record of {model} changes too often")


def _from(value: object) -> ModelRecord:
    assert isinstance(value, dict)
    return ModelRecord(current=value["current"], in_flight=value["in_flight"], pinned=value["pinned"])


def _name(model: ModelName) -> str:
    return f"{MODELS}{hash_of('model', str(model))}.json"
