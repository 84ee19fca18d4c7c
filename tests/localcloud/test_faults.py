"""Fault rules: what can be said in one, what is refused, and which calls a rule hits."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.fault_rules import (
    Delay,
    Drop,
    Duplicate,
    Kill,
    LoseAcknowledgement,
    LoseAnswer,
    Reorder,
    Reset,
    RuleError,
    Slow,
    Status,
    parse_rule,
)
from localcloud.faults import Faults

INSERT = "storage.objects.insert"


def hits(
    faults: Faults, count: int, *, service: str = "storage", method: str = INSERT, caller: str | None = None
) -> list[int]:
    """Return which of ``count`` calls are hit, from 1."""
    return [n for n in range(1, count + 1) if faults.of_call(service, method, lambda: caller) is not None]


@pytest.mark.parametrize(
    ("do", "effect", "when"),
    [
        ({"status": 503}, Status(503, "backendError"), "before"),
        ({"status": 429, "reason": "quotaExceeded"}, Status(429, "quotaExceeded"), "before"),
        ({"reset": True}, Reset(), "before"),
        ({"lose_answer": True}, LoseAnswer(), "after"),
        ({"delay_seconds": 2}, Delay(2), "before"),
        ({"slow_bytes_per_second": 1000}, Slow(1000), "after"),
        ({"kill": True}, Kill(), "before"),
        ({"duplicate": True}, Duplicate(), "before"),
        ({"reorder": 3}, Reorder(3), "before"),
        ({"lose_acknowledgement": True}, LoseAcknowledgement(), "after"),
        ({"drop": True}, Drop(), "before"),
    ],
)
def test_every_effect_is_read_with_its_usual_moment(do: dict[str, Any], effect: object, when: str) -> None:
    rule = parse_rule({"do": do})
    assert (rule.service, rule.method, rule.effect, rule.when) == ("*", "*", effect, when)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "A rule is an object"),
        ({}, "`do` is missing"),
        ({"do": {}}, "`do` has exactly one of"),
        ({"do": {"explode": True}}, "`do` has exactly one of"),
        ({"do": {"reset": True, "kill": True}}, "`do` has exactly one of"),
        ({"do": {"kill": False}}, "`do.kill` can only be true"),
        ({"do": {"kill": True, "reason": "x"}}, "`do.reason` belongs to `status`"),
        ({"do": {"status": 200}}, "from 400 to 599, not 200"),
        ({"do": {"status": "503"}}, "`do.status` is a whole number"),
        ({"do": {"delay_seconds": -1}}, "`do.delay_seconds` is a number from 0"),
        ({"do": {"reset": True}, "services": "storage"}, "A rule has no field `services`"),
        ({"do": {"reset": True}, "service": "spanner"}, "`service` is one of storage, "),
        ({"do": {"reset": True}, "method": 1}, "`method` is a text"),
        ({"do": {"reset": True}, "nth": 0}, "`nth` is a whole number from 1"),
        ({"do": {"reset": True}, "nth": [1, "2"]}, "`nth` is a whole number from 1"),
        ({"do": {"reset": True}, "times": True}, "`times` is a whole number from 1"),
        ({"do": {"reset": True}, "rate": 30}, "`rate` is at most 1"),
        ({"do": {"reset": True}, "when": "during"}, "`when` is one of before, after"),
        ({"do": {"lose_answer": True}, "when": "before"}, "`lose_answer` is about the answer"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field(document: Any, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(document)
    assert message in str(refused.value)


def test_of_several_rules_with_a_wrong_one_none_comes_into_force() -> None:
    faults = Faults()
    with pytest.raises(RuleError):
        faults.add([{"do": {"reset": True}}, {"do": {"status": 1}}])
    assert not faults


def test_a_rule_without_conditions_hits_every_call() -> None:
    faults = Faults()
    faults.add([{"do": {"status": 500}}])
    assert hits(faults, 3) == [1, 2, 3]


def test_nth_counts_matching_calls_only() -> None:
    faults = Faults()
    faults.add([{"service": "storage", "method": "storage.objects.*", "nth": [2, 4], "do": {"reset": True}}])
    assert hits(faults, 3, service="bigquery", method="bigquery.jobs.insert") == []
    assert hits(faults, 3, method="storage.buckets.get") == []
    assert hits(faults, 6) == [2, 4]


def test_times_ends_a_rule() -> None:
    faults = Faults()
    faults.add([{"times": 2, "do": {"reset": True}}])
    assert hits(faults, 5) == [1, 2]
    assert faults.describe()[0]["matched"] == 5
    assert faults.describe()[0]["applied"] == 2


def test_a_rate_hits_its_share_and_the_same_calls_for_the_same_seed() -> None:
    def run(seed: int) -> list[int]:
        faults = Faults()
        faults.add([{"rate": 0.3, "seed": seed, "do": {"status": 503}}])
        return hits(faults, 1000)

    assert run(1) == run(1) != run(2)
    assert 250 < len(run(1)) < 350


def test_a_rule_of_one_function_counts_its_calls_over_all_services() -> None:
    faults = Faults()
    faults.add([{"caller": "predict", "nth": 3, "do": {"kill": True}}])
    assert faults.of_call("storage", INSERT, lambda: "predict") is None
    assert faults.of_call("storage", INSERT, lambda: "import_model") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: "predict") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: None) is None
    assert faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict") is not None


def test_only_functions_are_killed() -> None:
    faults = Faults()
    faults.add([{"do": {"kill": True}}])
    assert hits(faults, 1, caller=None) == []
    assert hits(faults, 1, caller="predict") == [1]


def test_the_first_rule_that_hits_decides_and_the_others_count() -> None:
    faults = Faults()
    faults.add([{"nth": 1, "do": {"status": 503}}, {"nth": 2, "do": {"reset": True}}])
    first, second = (faults.of_call("storage", INSERT, lambda: None) for _ in range(2))
    assert first is not None and isinstance(first.effect, Status)
    assert second is not None and isinstance(second.effect, Reset)


def test_deliveries_and_calls_meet_different_rules() -> None:
    faults = Faults()
    faults.add([{"receiver": "predict", "do": {"delay_seconds": 1}}, {"caller": "predict", "do": {"delay_seconds": 2}}])
    call = faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict")
    delivery = faults.of_delivery("eventarc", "eventarc.deliver", "predict")
    assert call is not None and call.effect == Delay(2)
    assert delivery is not None and delivery.effect == Delay(1)
    assert faults.of_delivery("eventarc", "eventarc.deliver", "import_model") is None


def test_rules_are_taken_out_of_force_one_by_one_or_all() -> None:
    faults = Faults()
    first, second, third = faults.add([{"do": {"reset": True}}] * 3)
    faults.clear(second)
    assert [each["id"] for each in faults.describe()] == [first, third]
    faults.clear()
    assert not faults
