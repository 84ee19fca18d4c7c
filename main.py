"""The entry points of the functions, and the module of each.

Every function is deployed from this same source with its own entry point. A module is imported when its name is looked up,
so that `predict` does not load what only `submit_batch` needs.
"""

from importlib import import_module
from typing import Any

from shared.fast_imports import fast_imports
from shared.settings import settings

ENTRY_POINTS = {
    "import_model": "functions.import_model",
    "notice_deletion": "functions.import_model",
    "predict": "functions.predict",
    "submit_batch": "functions.submit_batch",
    "submit_batch_message": "functions.submit_batch",
    "poll_jobs": "functions.poll_jobs",
    "poll_part": "functions.poll_part",
    "manage_model": "functions.manage_model",
}


def __getattr__(name: str) -> Any:
    if name not in ENTRY_POINTS:
        raise AttributeError(f"there is no entry point {name!r}; there are {', '.join(ENTRY_POINTS)}")
    # A wrong setting ends the process here, before it takes an event.
    settings()
    with fast_imports():
        module = import_module(ENTRY_POINTS[name])
    return getattr(module, name)
