"""Turns: imports of one model run one at a time, and a lower version never replaces a higher one.

The ledger has one record for each model: which version is current, being imported and pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared.checks.identifiers import ModelName
from shared.drops.drop import version_order
from shared.engine.decoding import Undecodable, decode
from shared.engine.ledger import MODELS
from shared.engine.objects import Record
from shared.engine.services import Services
from shared.engine.stuck import report_object
from shared.errors import LostRace, TryLater, Unreadable
from shared.keys import hash_of
from shared.work import ImportRequest, Item, Kind, ModelVersion, Outcome

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

    def __init__(self, services: Services) -> None:
        """Use the records in the ledger of ``services``."""
        self._services = services
        self._ledger = services.ledger

    def read(self, model: ModelName) -> ModelRecord:
        """Return the record of ``model``; an empty record if there is none."""
        return self._read(model)[0]

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
        # An import whose item cannot be read must not hold up the others of its model.
        item = self._ledger.find(Kind.IMPORT, key)
        return item is not None and not item.final

    def _read(self, model: ModelName) -> tuple[ModelRecord, int]:
        """Return the record with its generation, 0 if there is none. One that cannot be read is reported and restored."""
        name = _name(model)
        try:
            stored = self._ledger.objects.read(name)
            if stored is None:
                return ModelRecord(), 0
            return _from_json(stored, name, model), stored.generation
        except Unreadable as error:
            consequence = (
                f"It was the record of the model {model}: Modeldrop restores it from its imports, without a pin"
            )
            report_object(error, consequence, self._services)
            restored = self._restored(model)
            written = self._ledger.objects.write(name, _to_json(restored, model), generation=error.generation)
            return restored, written.generation

    def _restored(self, model: ModelName) -> ModelRecord:
        """Return the record of ``model`` as its imports in the ledger show it."""
        items = [self._ledger.find(*each.work) for each in self._ledger.items(Kind.IMPORT) if each.work]
        imports = [item for item in items if item is not None and item.request.model == str(model)]
        ended = [item for item in imports if item.outcome is Outcome.SUCCEEDED and item.finished is not None]
        last = max(ended, key=lambda item: (item.finished, item.key), default=None)
        # An import is prepared only when it has the turn.
        under_way = next((item for item in imports if not item.ended and item.location is not None), None)
        return ModelRecord(
            current=_version(last) if last else None,
            in_flight=Turn(under_way.key, _version(under_way).version) if under_way else None,
        )

    def _change(self, model: ModelName, change: Callable[[ModelRecord], ModelRecord]) -> ModelRecord:
        name = _name(model)
        for _ in range(_ROUNDS):
            before, generation = self._read(model)
            after = change(before)
            if after == before:
                return before
            try:
                self._ledger.objects.write(name, _to_json(after, model), generation=generation)
            except LostRace:
                continue
            return after
        raise TryLater(f"the record of {model} changes too often")


def _to_json(record: ModelRecord, model: ModelName) -> dict[str, Any]:
    return {"model": str(model), **asdict(record)}


def _from_json(stored: Record, name: str, model: ModelName) -> ModelRecord:
    value = dict(stored.value)
    if value.pop("model", None) != str(model):
        raise Unreadable(name, stored.generation, "it is not the record of its model")
    try:
        return decode(ModelRecord, value)
    except Undecodable as error:
        raise Unreadable(name, stored.generation, str(error)) from None


def _version(item: Item) -> ModelVersion:
    assert isinstance(item.request, ImportRequest)
    return ModelVersion(item.request.version, item.request.fingerprint)


def _name(model: ModelName) -> str:
    return f"{MODELS}{hash_of('model', str(model))}.json"
