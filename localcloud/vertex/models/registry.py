"""The model registry: registered models and their versions.

https://cloud.google.com/bigquery/docs/managing-models-vertex and
https://cloud.google.com/vertex-ai/docs/model-registry/model-alias
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from localcloud.bigquery.ml.models.registration import VERSION_ALIAS
from localcloud.vertex.base.errors import RequestError, missing_field
from localcloud.vertex.base.filters import EQUALITY, Field, compile_filter
from localcloud.vertex.base.moments import UniqueMoments, serial
from localcloud.vertex.base.pages import page
from localcloud.vertex.base.records import RecordJournal
from localcloud.vertex.base.violations import check_names_and_labels
from localcloud.vertex.models.versions import Predictor, Version, last_segment

DEFAULT = "default"
# The fields that an update of a model, of a version, or of either can change.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/patch
_OF_MODEL, _OF_VERSION, _OF_BOTH = (
    frozenset({"displayName", "description"}),
    frozenset({"versionDescription"}),
    {"labels"},
)
# The kind of the records in the journal.
RECORD = "model"

FILTER_FIELDS = {
    "model": Field("name", EQUALITY, last_segment),
    "display_name": Field("displayName", EQUALITY),
}


class Registry:
    """The registered models. It is safe to use from several threads."""

    def __init__(self, *, moments: UniqueMoments, journal: RecordJournal) -> None:
        """Read the models of the journal. Models of BigQuery cannot predict before they are registered again."""
        self._moments = moments
        self._journal = journal
        self._models: dict[str, list[Version]] = {}
        # A model that was deleted keeps its last number, because numbers are not reused.
        self._last_number: dict[str, int] = {}
        self._lock = threading.RLock()
        for name, record in journal.records(RECORD).items():
            self._last_number[name] = record["last_number"]
            if record["versions"]:
                self._models[name] = [Version.from_record(name, version) for version in record["versions"]]

    def register(
        self,
        name: str,
        *,
        bigquery_model: str,
        aliases: Iterable[str] = (),
        number: int | None = None,
        deployable: bool = True,
        exportable: bool = False,
        predict: Predictor | None = None,
    ) -> int:
        """Register a BigQuery ML model as a new version, which replaces the version that the model has.

        Args:
            name: The resource name of the registered model.
            bigquery_model: ``project.dataset.model``.
            aliases: The version's aliases, which are removed from other versions.
            number: The version's number; None means the next one.
            deployable: Whether the version can be deployed.
            exportable: Whether its files can be exported.
            predict: Predicts on instances of an endpoint.

        Returns:
            The version's number.

        Raises:
            RequestError: INVALID_ARGUMENT for an invalid alias, or FAILED_PRECONDITION if the present version is deployed.
        """
        wanted = _checked(aliases)
        with self._lock:
            if number is None:
                self.unregister(bigquery_model)
                number = self._last_number.get(name, 0) + 1
            self._last_number[name] = max(number, self._last_number.get(name, 0))
            added = Version(name, number, self._moments.next(), bigquery_model, deployable, predict)
            added.exportable = exportable
            self._insert(added, wanted)
            return number

    def add(
        self,
        name: str,
        *,
        fields: dict[str, Any],
        aliases: Iterable[str] = (),
        deployable: bool = True,
        exportable: bool = False,
        copied_as: str | None = None,
        predict: Predictor | None = None,
    ) -> Version:
        """Add a version that does not belong to BigQuery, and return it; see ``Version`` for the arguments.

        Raises:
            RequestError: INVALID_ARGUMENT for an invalid alias.
        """
        wanted = _checked(aliases)
        with self._lock:
            number = self._last_number[name] = self._last_number.get(name, 0) + 1
            added = Version(name, number, self._moments.next(), None, deployable, predict, fields=fields)
            added.exportable, added.copied_as = exportable, copied_as
            self._insert(added, wanted)
            return added

    def _insert(self, added: Version, aliases: Sequence[str]) -> None:
        versions = [*self._models.get(added.model, []), added]
        self._models[added.model] = sorted(versions, key=lambda version: version.number)
        self._move_aliases(added, aliases)
        if not any(DEFAULT in version.aliases for version in versions):
            added.aliases.append(DEFAULT)
        self._save(added.model)

    def unregister(self, bigquery_model: str) -> None:
        """Remove the version of a BigQuery ML model; do nothing if it is not registered.

        Raises:
            RequestError: FAILED_PRECONDITION while it is deployed.
        """
        with self._lock:
            found = self.of_bigquery(bigquery_model)
            if found is not None:
                found.check_not_deployed()
                self.remove(found)

    def remove(self, version: Version) -> None:
        """Remove a version. If it is the default version, the last of the others becomes it."""
        with self._lock:
            left = [other for other in self._models[version.model] if other is not version]
            if left and not any(DEFAULT in other.aliases for other in left):
                left[-1].aliases.append(DEFAULT)
            if left:
                self._models[version.model] = left
            else:
                del self._models[version.model]
            self._save(version.model)

    def of_bigquery(self, bigquery_model: str) -> Version | None:
        """Return the version of a BigQuery ML model, or None if it is not registered."""
        with self._lock:
            return next(
                (version for version in self.all_of_bigquery() if version.bigquery_model == bigquery_model), None
            )

    def all_of_bigquery(self) -> Sequence[Version]:
        """Return the versions of all BigQuery ML models."""
        return [version for version in self.all_versions() if version.bigquery_model is not None]

    def all_versions(self) -> Sequence[Version]:
        """Return all versions of all models."""
        with self._lock:
            return [version for versions in self._models.values() for version in versions]

    def exists(self, name: str) -> bool:
        """Return whether a model exists; ``name`` has no version."""
        with self._lock:
            return name in self._models

    def versions_of(self, name: str) -> Sequence[Version]:
        """Return the versions of a model, oldest first; ``name`` has no version. Raises ``RequestError`` (NOT_FOUND)."""
        with self._lock:
            return list(self._models[self.version(name).model])

    def get(self, name: str) -> dict[str, Any]:
        """Return the Model resource of ``.../models/ID``, ``...@2`` or ``...@alias``. Raises ``RequestError``."""
        with self._lock:
            return self._resource(self.version(name))

    def version(self, name: str) -> Version:
        """Return the version that ``name`` ends with, or the default version. Raises ``RequestError`` (NOT_FOUND)."""
        model, _, wanted = name.partition("@")
        with self._lock:
            for version in self._models.get(model, []):
                if (wanted or DEFAULT) in (*version.aliases, str(version.number)):
                    return version
        raise RequestError("NOT_FOUND", f"The Model {name} does not exist.")

    def list(self, parent: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of the models of a location that match a filter, each as its default version."""
        passes = compile_filter(text, FILTER_FIELDS)
        with self._lock:
            found = [
                (serial(versions[0].created), self.get(name))
                for name, versions in self._models.items()
                if name.startswith(f"{parent}/models/")
            ]
        return _listed((item for item in found if passes(item[1])), page_size, page_token)

    def versions(self, name: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of a model's versions, whose names include the version. Raises ``RequestError``."""
        passes = compile_filter(text, {})
        with self._lock:
            self.version(name)
            found = [
                (version.number, self._resource(version) | {"name": version.name})
                for version in self._models[name.partition("@")[0]]
            ]
        return _listed((item for item in found if passes(item[1])), page_size, page_token)

    def patch(self, name: str, changes: dict[str, Any], mask: Iterable[str]) -> dict[str, Any]:
        """Update the fields of ``mask``, and return the resource.

        A name with a version updates the version. A name without one, or with ``@-``, updates the model.

        Raises:
            RequestError: NOT_FOUND, INVALID_ARGUMENT for a field that cannot be updated, or FAILED_PRECONDITION for a field of
                the version in an update of the model, and for one of the model in an update of a version.
        """
        name = name.removesuffix("@-")
        with self._lock:
            version = self.version(name)
            for path in mask:
                _check_patchable(path, name)
            fields = {"displayName": last_segment(version.model), **version.fields}
            check_names_and_labels("model", {**fields, **{path: changes.get(path) for path in mask}})
            for path in mask:
                value = changes.get(path, {} if path == "labels" else "")
                for changed in self._models[version.model] if path in _OF_MODEL else [version]:
                    changed.fields[path] = value
            return self._changed(version)

    def merge_aliases(self, name: str, aliases: Iterable[str]) -> dict[str, Any]:
        """Add aliases to a version, or remove those that start with ``-``; return the resource.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT without a version, for an invalid alias or for removing ``default``.
        """
        check_names_version(name)
        given = list(aliases)
        if not given:
            raise missing_field("version_aliases")
        wanted = _checked(alias for alias in given if not alias.startswith("-"))
        taken = {alias[1:] for alias in given if alias.startswith("-")}
        with self._lock:
            version = self.version(name)
            if DEFAULT in taken and DEFAULT in version.aliases:
                raise RequestError(
                    "INVALID_ARGUMENT", "The default alias cannot be removed; give it to another version instead."
                )
            self._move_aliases(version, wanted)
            version.aliases = [alias for alias in version.aliases if alias not in taken]
            return self._changed(version)

    def _resource(self, version: Version) -> dict[str, Any]:
        versions = self._models[version.model]
        return version.resource(versions[0], max(versions, key=lambda one: one.updated or one.created))

    def _changed(self, version: Version) -> dict[str, Any]:
        version.updated = self._moments.next()
        self._save(version.model)
        return self._resource(version)

    def _move_aliases(self, version: Version, aliases: Sequence[str]) -> None:
        for other in self._models[version.model]:
            other.aliases = [alias for alias in other.aliases if alias not in aliases]
        version.aliases.extend(dict.fromkeys(aliases))

    def _save(self, name: str) -> None:
        versions = [version.to_record() for version in self._models.get(name, [])]
        self._journal.save(RECORD, name, {"last_number": self._last_number.get(name, 0), "versions": versions})


def check_names_version(name: str) -> None:
    """Raise ``RequestError`` (INVALID_ARGUMENT) unless ``name`` ends with a version.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/mergeVersionAliases
    """
    if not name.partition("@")[2]:
        raise RequestError("INVALID_ARGUMENT", f"The name {name} must include a version, such as {name.rstrip('@')}@1.")


def _check_patchable(path: str, name: str) -> None:
    if path not in _OF_MODEL | _OF_VERSION | _OF_BOTH:
        raise RequestError("INVALID_ARGUMENT", f"The field {path} of a model cannot be updated.")
    kind, others = ("version", _OF_MODEL) if "@" in name else ("model", _OF_VERSION)
    if path in others:
        advice = "leave the version out of the name" if kind == "version" else "add the version to the name, such as @1"
        raise RequestError("FAILED_PRECONDITION", f"An update of the {kind} {name} cannot change {path}: {advice}.")


def _checked(aliases: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(aliases)
    for alias in wanted:
        if not VERSION_ALIAS.fullmatch(alias):
            raise RequestError("INVALID_ARGUMENT", f"{alias!r} is not a version alias: {VERSION_ALIAS.pattern}.")
    return wanted


def _listed(items: Iterable[tuple[int, dict[str, Any]]], page_size: int, page_token: str) -> dict[str, Any]:
    models, token = page(items, page_size, page_token)
    return {"models": models, **({"nextPageToken": token} if token else {})}
