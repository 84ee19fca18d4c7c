"""The files of an input that a job cannot take as they are, or that are too large to be read at once.

The lines of such files are loaded into a table of BigQuery, in which they are checked and divided as other requests are.
"""

from __future__ import annotations

from dataclasses import replace

from shared.batches.files import CheckedFiles
from shared.batches.inputs.estimates import estimate
from shared.batches.inputs.rules import LIMITS
from shared.batches.next_steps import divided, with_load
from shared.batches.output.places import facts_of
from shared.batches.request import BatchRequest
from shared.errors import Rejected
from shared.settings import Settings
from shared.work import Item


def with_files(item: Item, checked: CheckedFiles, request: BatchRequest, settings: Settings, *, loads: bool) -> Item:
    """Return an item whose files were checked, with other steps if a job cannot take them as they are.

    Args:
        item: The item, with its facts.
        checked: What is known of the files.
        request: The request.
        settings: The settings.
        loads: Whether the lines can be loaded into a table.

    Raises:
        Rejected: A job cannot take the files, and they cannot be loaded.
    """
    facts = replace(facts_of(item), files_hash=checked.hash, too_large=checked.too_large and loads)
    check = estimate(checked.found, request.model, settings, request.kind) if checked.is_whole else None
    if not loads:
        if checked.found.requests > LIMITS[request.kind] or checked.too_large:
            raise Rejected(
                "the files have more requests than one job takes, or one is larger than 1 GB, and cannot be divided: a field "
                "beside the requests cannot be a column, or the dataset for Modeldrop's tables is in another location. Rename "
                "the field, let the output be a table, or send several batches",
                field="input",
                code="too_many_requests",
            )
        # A job takes more requests than the setting says.
        check = None if check is None else replace(check, jobs=1)
        return replace(item, facts=replace(facts, check=check, unchecked_bytes=checked.unread_bytes))
    item = replace(item, facts=replace(facts, check=check, unchecked_bytes=checked.unread_bytes))
    if check is None:
        return with_load(replace(item, steps=()), "load", "check")
    if check.jobs == 1 or request.dry_run:
        return item
    return divided(with_load(replace(item, steps=()), "load"))
