"""What a prediction does whose model does not exist: it waits for a drop of the model, or it is rejected."""

from __future__ import annotations

from datetime import datetime

from shared.checks.identifiers import ModelName
from shared.checks.suggestions import closest
from shared.drops.problems import FAILED, STUCK, problem_of_drop
from shared.engine.handler import WaitFor
from shared.engine.services import Services
from shared.errors import Rejected
from shared.predictions.coming import coming_models
from shared.work import Item, WaitReason

# What a message says of the state of a drop.
_STATES = {STUCK: "is stuck", FAILED: "has failed"}


def created_meanwhile(model: ModelName, item: Item, services: Services) -> datetime:
    """Return when a model that did not exist a moment ago was created.

    Raises:
        Rejected: It does not exist, and no drop for it is being imported, or its drop is stuck or has failed.
        WaitFor: It does not exist, and a drop for it is being imported.
    """
    waited = (services.now() - item.created).total_seconds()
    if waited < services.settings.model_wait_seconds and coming_models(services).is_coming(model, since=item.created):
        raise WaitFor(WaitReason.MODEL, services.settings.wait_seconds)
    # Its import may have ended while drops were looked for.
    if created := services.bigquery.model_created(str(model)):
        return created
    if found := problem_of_drop(model, services):
        raise Rejected(
            f"there is no model {model}: its drop {found.path} {_STATES[found.code]}: {found.problem.message}",
            field="model",
            code=found.code,
        )
    similar = closest(model.model, services.bigquery.model_names(model.dataset_name))
    meant = f"; did you mean {model.dataset}.{similar}?" if similar else ""
    raise Rejected(
        f"there is no model {model}, and no drop of it is being imported{meant}", field="model", code="model_not_found"
    )
