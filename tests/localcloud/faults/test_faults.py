"""Fault rules: what can be said in one, what is refused, and which calls a rule hits."""

from __future__ import annotations

import math
from typing import Any

import pytest

from localcloud.faults.active import Faults
from localcloud.faults.rules import (
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

INSERT = "storage.objects.insert"
CALLERS, RECEIVERS = ("import_model", "predict", "poll_jobs"), ("import_model", "predict")


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
        ({"lose_acknowledgement": True}, LoseAcknowledgement(), "before"),
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
        ({"do": {"delay_seconds": math.nan}}, "`do.delay_seconds` is a number from 0 to 31536000, not nan"),
        ({"do": {"delay_seconds": math.inf}}, "`do.delay_seconds` is a number from 0 to 31536000, not inf"),
        ({"do": {"delay_seconds": 10**400}}, "`do.delay_seconds` is a number from 0 to 31536000"),
        (
            {"do": {"slow_bytes_per_second": 10**400}},
            "`do.slow_bytes_per_second` is a whole number from 1 to 1000000000",
        ),
        ({"do": {"status": 503, "reason": "\ud800"}}, "`do.reason` is a text"),
        ({"do": {"reset": True}, "services": "storage"}, "A rule has no field `services`"),
        ({"do": {"reset": True}, "\ud800": 1}, "A rule has no field `\\ud800`"),
        ({"do": {"reset": True}, "service": "spanner"}, "`service` is one of storage, "),
        ({"do": {"reset": True}, "method": 1}, "`method` is a text"),
        ({"do": {"reset": True}, "nth": 0}, "`nth` is a whole number from 1"),
        ({"do": {"reset": True}, "nth": [1, "2"]}, "`nth` is a whole number from 1"),
        ({"do": {"reset": True}, "nth": []}, "`nth` is a number or several"),
        ({"do": {"reset": True}, "times": True}, "`times` is a whole number from 1"),
        ({"do": {"reset": True}, "rate": 30}, "`rate` is a number from 0 to 1, not 30"),
        ({"do": {"reset": True}, "rate": math.nan}, "`rate` is a number from 0 to 1, not nan"),
        ({"do": {"reset": True}, "seed": 1.5}, "`seed` is a whole number from 0"),
        ({"do": {"reset": True}, "seed": -1}, "`seed` is a whole number from 0"),
        ({"do": {"reset": True}, "when": "during"}, "`when` is one of before, after"),
        ({"do": {"lose_answer": True}, "when": "before"}, "`lose_answer` is about the answer"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field(document: Any, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(document)
    assert message in str(refused.value)


SLOW = {"slow_bytes_per_second": 1000}
STATUS, RESET, DELAY, KILL = {"status": 503}, {"reset": True}, {"delay_seconds": 1}, {"kill": True}
DUPLICATE, DROP = {"duplicate": True}, {"drop": True}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"do": STATUS, "caller": "nobody"}, "`caller` is one of import_model, predict, poll_jobs, not 'nobody'"),
        ({"do": DROP, "receiver": "nobody"}, "`receiver` is one of import_model, predict, not 'nobody'"),
        # It is called by HTTP, and no event goes there.
        ({"do": DROP, "receiver": "poll_jobs"}, "`receiver` is one of import_model, predict, not 'poll_jobs'"),
        (
            {"do": DUPLICATE, "service": "storage"},
            "`service` is about calls, but the rule about events (eventarc.deliver) and pushed messages (pubsub.push) "
            "by `do.duplicate`.",
        ),
        ({"do": {"reorder": 2}, "service": "vertex"}, "by `do.reorder`"),
        ({"do": {"lose_acknowledgement": True}, "service": "bigquery"}, "by `do.lose_acknowledgement`"),
        ({"do": DROP, "service": "scheduler"}, "by `do.drop`"),
        ({"do": DUPLICATE, "method": INSERT}, "`method` is about calls, but"),
        (
            {"do": DROP, "caller": "predict"},
            "`caller` is about calls, but the rule about events (eventarc.deliver) and pushed messages (pubsub.push) "
            "by `do.drop`; the function that an event is delivered to is its `receiver`.",
        ),
        ({"do": DROP, "when": "after"}, "`when` is about calls, but"),
        ({"do": DROP, "when": "before"}, "`when` is about calls, but"),
        (
            {"do": KILL, "receiver": "predict"},
            "`receiver` is about events (eventarc.deliver), but the rule about calls by `do.kill`; the function that "
            "calls is the `caller`.",
        ),
        ({"do": SLOW, "receiver": "predict"}, "`receiver` is about events"),
        ({"do": RESET, "service": "eventarc"}, "`service` is about events"),
        ({"do": RESET, "method": "pubsub.push"}, "`method` is about pushed messages"),
        ({"do": STATUS, "caller": "predict", "receiver": "predict"}, "`receiver` is about events"),
        ({"do": DELAY, "caller": "predict", "service": "eventarc"}, "`caller` is about calls, but"),
        ({"do": DELAY, "receiver": "predict", "service": "pubsub"}, "`receiver` is about events"),
        ({"do": DELAY, "receiver": "predict", "when": "after"}, "`when` is about calls, but"),
        ({"do": STATUS, "service": "eventarc", "when": "after"}, "`when` is about calls, but"),
        (
            {"do": STATUS, "service": "storage", "method": "bigquery.jobs.insert"},
            "is of bigquery, and `service` is storage",
        ),
        (
            {"do": STATUS, "service": "storage", "method": "bigquery.jobs.run"},
            "is of bigquery, and `service` is storage",
        ),
        ({"do": STATUS, "service": "vertex", "method": "storage.objects.*"}, "is of storage, and `service` is vertex"),
        (
            {"do": STATUS, "method": "storage.object.insert"},
            "not 'storage.object.insert'; storage.objects.insert is one",
        ),
        ({"do": STATUS, "method": "storage.object.*"}, "`method` is the name of a method, or a pattern that fits one"),
        ({"do": RESET, "method": "bigquery.jobs.run"}, "`method` is about jobs (bigquery.jobs.run), but"),
        ({"do": DROP, "method": "bigquery.jobs.run"}, "`method` is about jobs (bigquery.jobs.run), but"),
        (
            {"do": DELAY, "method": "bigquery.jobs.run", "caller": "predict"},
            "`caller` is about calls, but the rule about jobs (bigquery.jobs.run) by `method`; which function a job is "
            "of is not known.",
        ),
        ({"do": DELAY, "method": "bigquery.jobs.run", "receiver": "predict"}, "`receiver` is about events"),
        ({"do": DELAY, "method": "bigquery.jobs.run", "when": "after"}, "`when` is about calls, but"),
    ],
)
def test_a_rule_that_nothing_can_meet_is_refused_with_its_field(document: Any, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        Faults(CALLERS, RECEIVERS).add([document])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "document",
    [
        {"do": STATUS, "service": "vertex", "method": "aiplatform.projects.locations.batchPredictionJobs.*"},
        {"do": STATUS, "service": "scheduler", "method": "cloudscheduler.projects.locations.jobs.run"},
        {"do": STATUS, "service": "pubsub", "method": "pubsub.projects.subscriptions.streamingPull"},
        {"do": STATUS, "service": "storage", "method": "storage.unknown"},
        {"do": STATUS, "service": "bigquery", "method": "*.insert"},
        {"do": STATUS, "method": "bigquery.jobs.run", "service": "bigquery"},
        {"do": DELAY, "service": "pubsub", "method": "pubsub.*"},
        {"do": DUPLICATE, "service": "pubsub"},
        {"do": DUPLICATE},
    ],
)
def test_a_rule_that_something_can_meet_is_taken(document: Any) -> None:
    assert Faults(CALLERS, RECEIVERS).add([document]) == ["1"]


def test_where_no_function_runs_no_rule_can_be_about_one() -> None:
    with pytest.raises(RuleError, match="`caller` is a function, and here are none"):
        Faults().add([{"caller": "predict", "do": KILL}])


def test_of_several_rules_with_a_wrong_one_none_comes_into_force() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    with pytest.raises(RuleError):
        faults.add([{"do": {"reset": True}}, {"do": {"status": 1}}])
    assert not faults


def test_a_rule_without_conditions_hits_every_call() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"do": {"status": 500}}])
    assert hits(faults, 3) == [1, 2, 3]


def test_nth_counts_matching_calls_only() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"service": "storage", "method": "storage.objects.*", "nth": [2, 4], "do": {"reset": True}}])
    assert hits(faults, 3, service="bigquery", method="bigquery.jobs.insert") == []
    assert hits(faults, 3, method="storage.buckets.get") == []
    assert hits(faults, 6) == [2, 4]


def test_times_ends_a_rule() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"times": 2, "do": {"reset": True}}])
    assert hits(faults, 5) == [1, 2]
    assert faults.describe()[0]["matched"] == 5
    assert faults.describe()[0]["applied"] == 2


def test_a_rate_hits_its_share_and_the_same_calls_for_the_same_seed() -> None:
    def run(seed: int) -> list[int]:
        faults = Faults(CALLERS, RECEIVERS)
        faults.add([{"rate": 0.3, "seed": seed, "do": {"status": 503}}])
        return hits(faults, 1000)

    assert run(1) == run(1) != run(2)
    assert 250 < len(run(1)) < 350


def test_a_rule_of_one_function_counts_its_calls_over_all_services() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"caller": "predict", "nth": 3, "do": {"kill": True}}])
    assert faults.of_call("storage", INSERT, lambda: "predict") is None
    assert faults.of_call("storage", INSERT, lambda: "import_model") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: "predict") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: None) is None
    assert faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict") is not None


def test_only_functions_are_killed() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"do": {"kill": True}}])
    assert hits(faults, 1, caller=None) == []
    assert hits(faults, 1, caller="predict") == [1]


def test_the_first_rule_that_hits_decides_and_the_others_count() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"nth": 1, "do": {"status": 503}}, {"nth": 2, "do": {"reset": True}}])
    first, second = (faults.of_call("storage", INSERT, lambda: None) for _ in range(2))
    assert first is not None and isinstance(first.effect, Status)
    assert second is not None and isinstance(second.effect, Reset)


def test_deliveries_and_calls_meet_different_rules() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"receiver": "predict", "do": {"delay_seconds": 1}}, {"caller": "predict", "do": {"delay_seconds": 2}}])
    call = faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict")
    delivery = faults.of_event("predict")
    assert call is not None and call.effect == Delay(2)
    assert delivery is not None and delivery.effect == Delay(1)
    assert faults.of_event("import_model") is None


def test_a_delay_without_a_service_is_about_calls_and_deliveries() -> None:
    faults = Faults()
    faults.add([{"do": DELAY}])
    assert hits(faults, 1) == [1]
    assert faults.of_event("predict") is not None
    assert faults.of_push() is not None
    assert faults.of_job() is None


def test_a_late_answer_is_about_calls_alone() -> None:
    faults = Faults()
    faults.add([{"do": DELAY, "when": "after"}])
    assert hits(faults, 1) == [1]
    assert faults.of_event("predict") is None


@pytest.mark.parametrize("rule", [{}, {"service": "pubsub"}, {"method": "pubsub.*"}, {"rate": 1}])
def test_a_status_of_calls_leaves_deliveries_alone(rule: dict[str, Any]) -> None:
    faults = Faults()
    faults.add([{**rule, "do": STATUS}])
    assert hits(faults, 1, service="pubsub", method="pubsub.projects.topics.publish") == [1]
    assert faults.of_event("predict") is None
    assert faults.of_push() is None


@pytest.mark.parametrize("rule", [{"service": "eventarc"}, {"receiver": "predict"}, {"method": "eventarc.deliver"}])
def test_a_status_of_events_is_about_no_calls(rule: dict[str, Any]) -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{**rule, "do": STATUS}])
    assert faults.of_event("predict") is not None
    assert faults.of_push() is None
    assert hits(faults, 1) == []


def test_rules_are_taken_out_of_force_one_by_one_or_all() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    first, second, third = faults.add([{"do": {"reset": True}}] * 3)
    faults.clear(second)
    assert [each["id"] for each in faults.describe()] == [first, third]
    faults.clear()
    assert not faults
