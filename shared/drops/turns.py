"""Turns: imports of one model run one at a time, and a lower version never replaces a higher one.

The ledger has one record for each model: which version is current, being imported and pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared.checks.identifiers import ModelName
from shared.drops.drop import version_order
from shared.engine.ledger import MODELS, Ledger
from shared.errors import LostRace, TryLater
from shared.keys import hash_of
from shared.work import Kind, ModelVersion

_ROUNDS = 5


@dataclass(frozen=True)
class Turn:
    """The import that is under way."""

    key: str
    version: str


@dataclass(frozen=True)
class ModelRecord:
    """The record of one model."""

    current: ModelVersion | None = None
    """The version that was imported last; None if none was."""
    in_flight: Turn | None = None
    pinned: str | None = None
    """The version that stays until a higher one is dropped."""

    def superseded(self, version: str) -> bool:
        """Return whether a higher version was imported or pinned, so that ``version`` comes too late."""
        if self.pinned is not None:
            return version_order(version) < version_order(self.pinned)
        return self.current is not None and version_order(version) < version_order(self.current.version)


class ModelRecords:
    """The records of all models in one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        """Use the records in ``ledger``."""
        self._ledger = ledger

    def read(self, model: ModelName) -> ModelRecord:
        """Return the record of ``model``; an empty record if there is none."""
        record = self._ledger.read_record(_name(model))
        return _from_json(record.value) if record else ModelRecord()

    def take_turn(self, model: ModelName, version: str, key: str) -> ModelRecord:
        """Mark the import ``key`` as under way, unless another one is or a higher version was imported.

        Returns:
            The record as it is then. The caller has the turn if ``in_flight`` has its key.
        """

        def take(record: ModelRecord) -> ModelRecord:
            turn = record.in_flight
            if record.superseded(version) or (turn and turn.key != key and self._is_open(turn.key)):
                return record
            return replace(record, in_flight=Turn(key, version))

        return self._change(model, take)

    def leave_turn(self, model: ModelName, key: str, imported: ModelVersion | None) -> None:
        """Mark the import ``key`` as over; ``imported`` is the version that the model has now, None if it is unchanged."""

        def leave(record: ModelRecord) -> ModelRecord:
            if record.in_flight is None or record.in_flight.key != key:
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
            before = _from_json(stored.value) if stored else ModelRecord()
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


def _from_json(value: Mapping[str, Any]) -> ModelRecord:
    current, turn = value["current"], value["in_flight"]
    return ModelRecord(
        current=ModelVersion(**current) if current else None,
        in_flight=Turn(**turn) if turn else None,
        pinned=value["pinned"],
    )


def _name(model: ModelName) -> str:
    return f"{MODELS}{hash_of('model', str(model))}.json"
