"""A fake project, and what `apply` and `destroy` do to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from declaration.model import Declaration
from deploy.applying.apply import apply, show_differences
from deploy.applying.cloud import Cloud
from deploy.applying.destroy import Removal, destroy, removals
from deploy.applying.passing import Patience
from deploy.declared import read
from deploy.plan import plan
from deploy.planning.steps import Plan
from tests.control_plane.gcloud import StandIn
from tests.control_plane.project import FakeProject


@dataclass
class Deployer:
    """Applies a declaration to a fake project through the stand-in for gcloud, with a clock that only waiting moves."""

    project: FakeProject
    declaration: Declaration = field(default_factory=read)
    lines: list[str] = field(default_factory=list)
    """What was reported."""
    now: float = 0
    gcloud: StandIn = field(init=False)

    def __post_init__(self) -> None:
        self.gcloud = StandIn(self.project)

    def change(self, **fields: object) -> None:
        """Change fields of the declaration."""
        self.declaration = self.declaration.model_copy(update=fields)

    def apply(self, *, adopted: tuple[str, ...] = (), drops_messages: bool = False) -> None:
        self.lines.clear()
        self.project.calls.clear()
        steps = self.plan()
        apply(steps, self.cloud(steps), self.lines.append, adopted=adopted, drops_messages=drops_messages)

    def destroy(self, *, with_data: bool = False) -> list[str]:
        self.lines.clear()
        self.project.calls.clear()
        steps = self.plan()
        return destroy(steps, self.cloud(steps), with_data=with_data, report=self.lines.append)

    def removals(self) -> list[Removal]:
        self.project.calls.clear()
        steps = self.plan()
        return removals(steps, self.cloud(steps), with_data=False)

    def differences(self) -> list[str]:
        self.project.calls.clear()
        steps = self.plan()
        return list(show_differences(steps, self.cloud(steps)))

    def plan(self) -> Plan:
        return plan(self.declaration, "films")

    def cloud(self, steps: Plan) -> Cloud:
        patience = Patience(clock=lambda: self.now, sleep=self._sleep, report=self.lines.append)
        return Cloud(steps.lookups, runner=self.gcloud, patience=patience)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def project() -> FakeProject:
    """A new project: nothing exists, and no API is enabled."""
    return FakeProject()


@pytest.fixture
def deployer(project: FakeProject) -> Deployer:
    return Deployer(project)


@pytest.fixture
def applied(deployer: Deployer) -> Deployer:
    """A deployer that has applied the declaration."""
    deployer.apply()
    return deployer
