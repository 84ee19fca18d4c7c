"""E-mail addresses of the declaration become notification channels, which the alerts notify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from declaration.reading import DeclarationError, parse_declaration
from deploy.applying.cloud import NOT_FOUND, CommandFailedError
from deploy.declared import DECLARATION, read
from deploy.monitoring.alerts import alerts
from deploy.monitoring.resources import documents
from deploy.planning.script import shell_script
from tests.control_plane.project import FakeProject
from tests.discovery import problems
from tests.unit.deploy.conftest import Deployer

ADA, BEN = "ada@example.com", "ben+alerts@films.example"
OWN = "projects/films/notificationChannels/77"


def notify(deployer: Deployer, *addresses: str, channels: tuple[str, ...] = (), enabled: bool = True) -> None:
    changes = {"emails": addresses, "channels": channels, "enabled": enabled}
    deployer.change(alerts=deployer.declaration.alerts.model_copy(update=changes))


def channels(project: FakeProject) -> dict[str, dict[str, Any]]:
    """Return the channels by their address."""
    found = [each for name, each in project.resources.items() if "/notificationChannels/" in name]
    return {each["labels"]["email_address"]: each for each in found}


def notified(project: FakeProject) -> set[tuple[str, ...]]:
    """Return the channels of every alert."""
    policies = [each for name, each in project.resources.items() if "/alertPolicies/" in name]
    return {tuple(each["notificationChannels"]) for each in policies}


@pytest.fixture
def notifying(deployer: Deployer) -> Deployer:
    """A deployer that has applied two addresses."""
    notify(deployer, ADA, BEN)
    deployer.apply()
    return deployer


def test_every_alert_notifies_a_channel_for_each_address(notifying: Deployer) -> None:
    found = channels(notifying.project)

    assert found.keys() == {ADA, BEN}
    assert {each["type"] for each in found.values()} == {"email"}
    assert notified(notifying.project) == {(found[ADA]["name"], found[BEN]["name"])}
    assert notifying.differences() == []


def test_what_is_written_is_valid_by_the_published_description(notifying: Deployer) -> None:
    written = documents(notifying.declaration, "films")

    names = [channel["name"] for channel in written["notificationChannels"]]
    assert [
        problems(channel, "monitoring.v3", "NotificationChannel") for channel in written["notificationChannels"]
    ] == [[], []]
    assert {tuple(policy["notificationChannels"]) for policy in written["alertPolicies"]} == {tuple(names)}


def test_an_existing_channel_is_used_besides_the_addresses(deployer: Deployer) -> None:
    deployer.project.resources[f"monitoring/{OWN}"] = {"name": OWN, "type": "sms", "labels": {"email_address": "none"}}
    notify(deployer, ADA, channels=(OWN,))

    deployer.apply()

    assert notified(deployer.project) == {(OWN, channels(deployer.project)[ADA]["name"])}


def test_a_declared_channel_that_does_not_exist_is_an_error(deployer: Deployer) -> None:
    notify(deployer, channels=(OWN,))

    with pytest.raises(CommandFailedError, match=f"The notification channel {OWN} does not exist"):
        deployer.apply()


def test_an_address_that_has_left_the_declaration_is_removed_and_no_channel_of_others(notifying: Deployer) -> None:
    notifying.project.resources[f"monitoring/{OWN}"] = {"name": OWN, "labels": {"email_address": BEN}, "type": "email"}
    notify(notifying, ADA)
    assert f"- notification channel {BEN}" in notifying.differences()

    notifying.apply()

    kept = {each["name"] for name, each in notifying.project.resources.items() if "/notificationChannels/" in name}
    assert kept == {OWN, channels(notifying.project)[ADA]["name"]}
    assert notifying.differences() == []


def test_without_alerts_there_are_no_channels(notifying: Deployer) -> None:
    notify(notifying, ADA, BEN, enabled=False)

    notifying.apply()

    assert channels(notifying.project) == {}
    assert notifying.differences() == []


def test_a_channel_that_was_turned_off_is_turned_on(notifying: Deployer) -> None:
    channels(notifying.project)[ADA]["enabled"] = False
    shown = f"~ notification channel {ADA}: enabled is False, declared True"
    assert notifying.differences() == [shown]

    notifying.apply()

    assert channels(notifying.project)[ADA]["enabled"]


def test_a_new_address_is_shown_before_it_has_a_channel(applied: Deployer) -> None:
    notify(applied, ADA)

    shown = applied.differences()

    assert f"+ notification channel {ADA}" in shown
    assert "~ alert dead-letters: refers to something that does not exist yet" in shown
    assert len(shown) == 1 + len(alerts(applied.declaration))


def test_two_environments_have_a_channel_each(deployer: Deployer, tmp_path: Path) -> None:
    path = tmp_path / "functions.yaml"
    text = DECLARATION.read_text(encoding="utf-8").replace("environments: {}", "environments: {staging: {}}")
    path.write_text(text.replace("emails: []", f"emails: [{ADA}]"), encoding="utf-8")
    deployer.declaration = read(path)
    staging = Deployer(deployer.project, read(path, "staging"))
    deployer.apply()
    staging.apply()
    assert len([name for name in deployer.project.resources if "/notificationChannels/" in name]) == 2

    staging.destroy()

    assert deployer.differences() == []


def test_destroy_removes_the_channels_after_the_alerts(notifying: Deployer) -> None:
    assert notifying.destroy() == []

    assert channels(notifying.project) == {}


def test_the_script_looks_up_a_channel_between_its_creation_and_the_alerts(notifying: Deployer) -> None:
    lines = shell_script(notifying.plan(), NOT_FOUND).splitlines()

    [looked_up] = [number for number, line in enumerate(lines) if line.startswith("CHANNEL_1=$(")]
    assert lines.index(f"# notification channel {ADA}") < looked_up < lines.index("# alert dead-letters") + 2
    assert any('"${CHANNEL_1}"' in line for line in lines[looked_up:])


def test_an_address_among_the_channels_is_refused_with_its_right_place() -> None:
    text = DECLARATION.read_text(encoding="utf-8").replace("channels: []", f"channels: [{ADA}]")

    with pytest.raises(DeclarationError, match="addresses are in `emails`"):
        parse_declaration(text)


@pytest.mark.parametrize("address", ["ada", "ada@example", "@example.com", '"ada@example.com'])
def test_what_is_not_an_address_is_refused(address: str) -> None:
    text = DECLARATION.read_text(encoding="utf-8").replace("emails: []", f"emails: ['{address}']")

    with pytest.raises(DeclarationError, match=r"alerts\.emails\[0\] is .*expected an e-mail address"):
        parse_declaration(text)
