"""Turns: imports of one model run one at a time, and a lower version never replaces a higher one.

The ledger has one record for each model: which version is current, being imported and pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from shared.checks.identifiers import ModelName
from shared.engine.ledger.decoding import Undecodable, decode
from shared.engine.ledger.ledger import MODELS
from shared.engine.ledger.objects import Record
from shared.engine.services import Services
from shared.engine.stuck import report_object
from shared.errors import LostRace, TryLater, Unreadable
from shared.keys import hash_of
from shared.work import Item, Kind, Outcome
from shared.work_facts import ImportRequest, ModelVersion

_ROUNDS = 5


@dataclass(frozen=True)
class Turn:
    """The import or deletion that is under way."""

    key: str
    version: str


@dataclass(frozen=True)
class ModelRecord:
    """The record of one model."""

    current: ModelVersion | None = None
    """The version that was imported last; None if none was."""
    in_flight: Turn | None = None
    pinned: str | None = None
    """The version that a rollback has brought back. It stays until a version above ``withdrawn`` is dropped."""
    withdrawn: str | None = None
    """The highest version that a rollback has withdrawn."""

    def superseded(self, version: str) -> bool:
        """Return whether ``version`` comes too late: a higher one was imported, or a rollback has withdrawn it."""
        if self.pinned is not None:
            if self.withdrawn is not None and version != self.pinned:
                return version_order(version) <= version_order(self.withdrawn)
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

    def take_turn(self, model: ModelName, version: str, key: str, *, is_rollback: bool = False) -> ModelRecord:
        """Mark the work ``key`` as under way, unless other work is or a higher version was imported.

        Args:
            model: The model.
            version: The version that the model gets; empty if the work deletes the model.
            key: The key of the import, or of the manage message.
            is_rollback: Whether a lower version may replace a higher one.

        Returns:
            The record as it is then. The caller has the turn if ``in_flight`` has its key.
        """

        def take(record: ModelRecord) -> ModelRecord:
            turn = record.in_flight
            is_late = not is_rollback and record.superseded(version)
            if is_late or (turn and turn.key != key and self._is_open(turn.key)):
                return record
            return replace(record, in_flight=Turn(key, version))

        return self._change(model, take)

    def leave_turn(
        self, model: ModelName, key: str, imported: ModelVersion | None, *, is_rollback: bool = False
    ) -> None:
        """Mark the import ``key`` as over.

        Args:
            model: The model.
            key: The key of the import.
            imported: The version that the model has now; None if it is unchanged.
            is_rollback: Whether the version is pinned, and the one before it is withdrawn.
        """

        def leave(record: ModelRecord) -> ModelRecord:
            if record.in_flight is None or record.in_flight.key != key:
                return record
            if imported is None:
                return replace(record, in_flight=None)
            record = _pinned(record, imported.version) if is_rollback else _unpinned_by(record, imported.version)
            return replace(record, in_flight=None, current=imported)

        self._change(model, leave)

    def unpin(self, model: ModelName) -> ModelRecord:
        """Lift the pin of a model, if it has one; return its record."""
        return self._change(model, lambda record: replace(record, pinned=None, withdrawn=None))

    def forget(self, model: ModelName, key: str) -> None:
        """Mark the work ``key``, which has deleted the model, as over: every version may be imported again."""

        def leave(record: ModelRecord) -> ModelRecord:
            return ModelRecord() if record.in_flight is not None and record.in_flight.key == key else record

        self._change(model, leave)

    def _is_open(self, key: str) -> bool:
        # Work whose item cannot be read must not hold up the others of its model.
        item = self._ledger.find(Kind.IMPORT, key) or self._ledger.find(Kind.MANAGE, key)
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
        imported = {Outcome.SUCCEEDED, Outcome.ROLLED_BACK}
        ended = [item for item in imports if item.outcome in imported and item.finished is not None]
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


def version_order(version: str) -> tuple[int, int, str]:
    """Return the sort key of a version: numbers by value, above all others, which sort by code points."""
    return (1, int(version), "") if version.isascii() and version.isdigit() else (0, 0, version)


def _pinned(record: ModelRecord, version: str) -> ModelRecord:
    """Return a record that a rollback to ``version`` has pinned, with the highest version that it has withdrawn."""
    above = [each for each in (record.withdrawn, record.current and record.current.version) if each]
    return replace(record, pinned=version, withdrawn=max(above, key=version_order, default=None))


def _unpinned_by(record: ModelRecord, version: str) -> ModelRecord:
    """Return a record without its pin if ``version``, which was imported, is not the pinned one."""
    return record if version == record.pinned else replace(record, pinned=None, withdrawn=None)


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
