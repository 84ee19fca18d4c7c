"""The check of the datasets that the declaration names: nothing that we deploy creates them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from declaration.model import Declaration
from deploy.checking import rest
from deploy.checking.attempts import attempt
from deploy.checking.findings import Finding, Status

CHECK = "datasets"


def check_datasets(declaration: Declaration, project: str, token: str) -> Iterator[Finding]:
    """Yield which of the named datasets do not exist, or that all do.

    Args:
        declaration: The declaration; without names, every dataset may be used, and nothing is checked.
        project: The project of names without one.
        token: The access token of gcloud; empty for a local cloud.
    """
    right = []
    for name in declaration.dataset_names:
        owner, _, dataset = name.rpartition(".")
        path = f"bigquery/v2/projects/{owner or project}/datasets/{dataset}"
        found = attempt(CHECK, partial(rest.find, token, "bigquery", path))
        if found is None:
            fix = f"bq mk --dataset --location={declaration.region} {owner or project}:{dataset}"
            yield Finding(CHECK, Status.WRONG, f"{name} does not exist", fix)
        elif isinstance(found, Finding):
            yield replace(found, message=f"{name}: {found.message}")
        else:
            right.append(name)
    if right:
        yield Finding(CHECK, Status.OK, f"exist: {', '.join(right)}")
