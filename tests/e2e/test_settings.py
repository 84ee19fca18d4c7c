"""A local cloud with a wrong setting: nothing starts."""

from __future__ import annotations

import pytest

from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from localcloud.functions.settings_check import SettingsError


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("DROP_STUCK_SECONDS", "abc", "DROP_STUCK_SECONDS is 'abc'; expected a number of seconds from 0 to"),
        ("DROP_STUCK_SECOND", "60", "DROP_STUCK_SECOND is not a setting; did you mean DROP_STUCK_SECONDS?"),
    ],
)
def test_nothing_starts_with_a_wrong_setting(name: str, text: str, problem: str) -> None:
    cloud = LocalCloud(CloudConfig(function_environment={name: text}, with_samples=False))
    with pytest.raises(SettingsError, match=problem.replace("?", r"\?")):
        cloud.start()
    assert cloud.functions.pids() == {}
