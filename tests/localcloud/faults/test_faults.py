"""Fault rules: parsing, rejected rules, and the calls that a rule applies to."""

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
    """Return the numbers of the calls, of ``count``, that a rule applies to, counted from 1."""
    return [n for n in range(1, count + 1) if faults.of_call(service, method, lambda: caller) is not None]


@pytest.mark.parametrize(
    ("do", "effect", "when"),
    [
        ({"status": 503}, Status(503, "backendError"), "before"),
        ({"status": 429, "reason": "quotaExceeded"}, Status(429, "quotaExceeded"), "before"),
        ({"status": 400, "message": "Wait."}, Status(400, "invalid", "Wait."), "before"),
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
def test_every_effect_is_parsed_with_its_default_for_when(do: dict[str, Any], effect: object, when: str) -> None:
    rule = parse_rule({"do": do})
    assert (rule.service, rule.method, rule.effect, rule.when) == ("*", "*", effect, when)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "A rule must be an object"),
        ({}, "`do` must be an object with one effect"),
        ({"do": {}}, "`do` must have exactly one of"),
        ({"do": {"explode": True}}, "`do` must have exactly one of"),
        ({"do": {"reset": True, "kill": True}}, "`do` must have exactly one of"),
        ({"do": {"kill": False}}, "`do.kill` can only be true"),
        ({"do": {"kill": True, "reason": "x"}}, "`do.reason` belongs to `status`"),
        ({"do": {"kill": True, "message": "x"}}, "`do.message` belongs to `status`"),
        ({"do": {"status": 400, "message": 5}}, "`do.message` must be a string"),
        ({"do": {"status": 200}}, "from 400 to 599, not 200"),
        ({"do": {"status": "503"}}, "`do.status` must be an integer"),
        ({"do": {"delay_seconds": -1}}, "`do.delay_seconds` must be a number from 0"),
        ({"do": {"delay_seconds": math.nan}}, "`do.delay_seconds` must be a number from 0 to 31536000, not nan"),
        ({"do": {"delay_seconds": math.inf}}, "`do.delay_seconds` must be a number from 0 to 31536000, not inf"),
        ({"do": {"delay_seconds": 10**400}}, "`do.delay_seconds` must be a number from 0 to 31536000"),
        (
            {"do": {"slow_bytes_per_second": 10**400}},
            "`do.slow_bytes_per_second` must be an integer from 1 to 1000000000",
        ),
        ({"do": {"status": 503, "reason": "\ud800"}}, "`do.reason` must be a string"),
        ({"do": {"reset": True}, "services": "storage"}, "A rule has no field `services`"),
        ({"do": {"reset": True}, "\ud800": 1}, "A rule has no field `\\ud800`"),
        ({"do": {"reset": True}, "service": "spanner"}, "`service` must be one of storage, "),
        ({"do": {"reset": True}, "method": 1}, "`method` must be a string"),
        ({"do": {"reset": True}, "nth": 0}, "`nth` must be an integer from 1"),
        ({"do": {"reset": True}, "nth": [1, "2"]}, "`nth` must be an integer from 1"),
        ({"do": {"reset": True}, "nth": []}, "`nth` must be an integer or a list of at least one"),
        ({"do": {"reset": True}, "times": True}, "`times` must be an integer from 1"),
        ({"do": {"reset": True}, "rate": 30}, "`rate` must be a number from 0 to 1, not 30"),
        ({"do": {"reset": True}, "rate": math.nan}, "`rate` must be a number from 0 to 1, not nan"),
        ({"do": {"reset": True}, "seed": 1.5}, "`seed` must be an integer from 0"),
        ({"do": {"reset": True}, "seed": -1}, "`seed` must be an integer from 0"),
        ({"do": {"reset": True}, "when": "during"}, "`when` must be one of before, after"),
        ({"do": {"lose_answer": True}, "when": "before"}, "`lose_answer` affects the response"),
    ],
)
def test_an_invalid_rule_is_rejected_with_the_name_of_its_field(document: Any, message: str) -> None:
    with pytest.raises(RuleError) as rejected:
        parse_rule(document)
    assert message in str(rejected.value)


SLOW = {"slow_bytes_per_second": 1000}
STATUS, RESET, DELAY, KILL = {"status": 503}, {"reset": True}, {"delay_seconds": 1}, {"kill": True}
DUPLICATE, DROP = {"duplicate": True}, {"drop": True}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"do": STATUS, "caller": "nobody"}, "`caller` must be one of import_model, predict, poll_jobs, not 'nobody'"),
        ({"do": DROP, "receiver": "nobody"}, "`receiver` must be one of import_model, predict, not 'nobody'"),
        # poll_jobs is called over HTTP and receives no events.
        ({"do": DROP, "receiver": "poll_jobs"}, "`receiver` must be one of import_model, predict, not 'poll_jobs'"),
        (
            {"do": DUPLICATE, "service": "storage"},
            "`service` applies to calls, but the rule applies to events (eventarc.deliver) and pushed messages "
            "(pubsub.push) because of `do.duplicate`.",
        ),
        ({"do": {"reorder": 2}, "service": "vertex"}, "because of `do.reorder`"),
        ({"do": {"lose_acknowledgement": True}, "service": "bigquery"}, "because of `do.lose_acknowledgement`"),
        ({"do": DROP, "service": "scheduler"}, "because of `do.drop`"),
        ({"do": DUPLICATE, "method": INSERT}, "`method` applies to calls, but"),
        (
            {"do": DROP, "caller": "predict"},
            "`caller` applies to calls, but the rule applies to events (eventarc.deliver) and pushed messages "
            "(pubsub.push) because of `do.drop`; use `receiver` for the function that an event is delivered to.",
        ),
        ({"do": DROP, "when": "after"}, "`when` applies to calls, but"),
        ({"do": DROP, "when": "before"}, "`when` applies to calls, but"),
        (
            {"do": KILL, "receiver": "predict"},
            "`receiver` applies to events (eventarc.deliver), but the rule applies to calls because of `do.kill`; "
            "use `caller` for the function that calls.",
        ),
        ({"do": SLOW, "receiver": "predict"}, "`receiver` applies to events"),
        ({"do": RESET, "service": "eventarc"}, "`service` applies to events"),
        ({"do": RESET, "method": "pubsub.push"}, "`method` applies to pushed messages"),
        ({"do": STATUS, "caller": "predict", "receiver": "predict"}, "`receiver` applies to events"),
        ({"do": DELAY, "caller": "predict", "service": "eventarc"}, "`caller` applies to calls, but"),
        ({"do": DELAY, "receiver": "predict", "service": "pubsub"}, "`receiver` applies to events"),
        ({"do": DELAY, "receiver": "predict", "when": "after"}, "`when` applies to calls, but"),
        ({"do": STATUS, "service": "eventarc", "when": "after"}, "`when` applies to calls, but"),
        (
            {"do": STATUS, "service": "storage", "method": "bigquery.jobs.insert"},
            "belongs to bigquery, but `service` is storage",
        ),
        (
            {"do": STATUS, "service": "storage", "method": "bigquery.jobs.run"},
            "belongs to bigquery, but `service` is storage",
        ),
        (
            {"do": STATUS, "service": "vertex", "method": "storage.objects.*"},
            "belongs to storage, but `service` is vertex",
        ),
        (
            {"do": STATUS, "method": "storage.object.insert"},
            "not 'storage.object.insert'; did you mean storage.objects.insert?",
        ),
        (
            {"do": STATUS, "method": "storage.object.*"},
            "`method` must be the name of a method, or a pattern that matches one",
        ),
        ({"do": RESET, "method": "bigquery.jobs.run"}, "`method` applies to jobs (bigquery.jobs.run), but"),
        ({"do": DROP, "method": "bigquery.jobs.run"}, "`method` applies to jobs (bigquery.jobs.run), but"),
        (
            {"do": DELAY, "method": "bigquery.jobs.run", "caller": "predict"},
            "`caller` applies to calls, but the rule applies to jobs (bigquery.jobs.run) because of `method`; "
            "the function that submitted a job is not known.",
        ),
        ({"do": DELAY, "method": "bigquery.jobs.run", "receiver": "predict"}, "`receiver` applies to events"),
        ({"do": DELAY, "method": "bigquery.jobs.run", "when": "after"}, "`when` applies to calls, but"),
    ],
)
def test_a_rule_that_can_never_apply_is_rejected_with_the_name_of_its_field(document: Any, message: str) -> None:
    with pytest.raises(RuleError) as rejected:
        Faults(CALLERS, RECEIVERS).add([document])
    assert message in str(rejected.value)


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
def test_a_rule_that_can_apply_is_accepted(document: Any) -> None:
    assert Faults(CALLERS, RECEIVERS).add([document]) == ["1"]


def test_a_rule_about_a_function_is_rejected_where_no_function_runs() -> None:
    with pytest.raises(RuleError, match="`caller` must name a function, but no functions are running"):
        Faults().add([{"caller": "predict", "do": KILL}])


def test_no_rule_of_a_list_is_added_if_one_is_invalid() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    with pytest.raises(RuleError):
        faults.add([{"do": {"reset": True}}, {"do": {"status": 1}}])
    assert not faults


def test_a_rule_without_conditions_applies_to_every_call() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"do": {"status": 500}}])
    assert hits(faults, 3) == [1, 2, 3]


def test_nth_counts_matching_calls_only() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"service": "storage", "method": "storage.objects.*", "nth": [2, 4], "do": {"reset": True}}])
    assert hits(faults, 3, service="bigquery", method="bigquery.jobs.insert") == []
    assert hits(faults, 3, method="storage.buckets.get") == []
    assert hits(faults, 6) == [2, 4]


def test_times_limits_how_often_a_rule_applies() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"times": 2, "do": {"reset": True}}])
    assert hits(faults, 5) == [1, 2]
    assert faults.describe()[0]["matched"] == 5
    assert faults.describe()[0]["applied"] == 2


def hits_by_chance(seed: int) -> list[int]:
    """Return the calls, of 1000, that a rule with a rate of 0.3 applies to."""
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"rate": 0.3, "seed": seed, "do": {"status": 503}}])
    return hits(faults, 1000)


def test_a_rate_applies_to_its_share_of_the_calls() -> None:
    assert 250 < len(hits_by_chance(1)) < 350


def test_a_rate_applies_to_the_same_calls_for_the_same_seed_only() -> None:
    assert hits_by_chance(1) == hits_by_chance(1) != hits_by_chance(2)


def test_a_rule_about_one_function_counts_its_calls_to_all_services() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"caller": "predict", "nth": 3, "do": {"kill": True}}])
    assert faults.of_call("storage", INSERT, lambda: "predict") is None
    assert faults.of_call("storage", INSERT, lambda: "import_model") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: "predict") is None
    assert faults.of_call("bigquery", "bigquery.jobs.insert", lambda: None) is None
    assert faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict") is not None


def test_a_kill_rule_without_a_caller_applies_to_functions_only() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"do": {"kill": True}}])
    assert hits(faults, 1, caller=None) == []
    assert hits(faults, 1, caller="predict") == [1]


def test_every_matching_rule_counts_a_call_that_the_first_one_applies_to() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"nth": 1, "do": {"status": 503}}, {"nth": 2, "do": {"reset": True}}])
    first, second = (faults.of_call("storage", INSERT, lambda: None) for _ in range(2))
    assert first is not None and isinstance(first.effect, Status)
    assert second is not None and isinstance(second.effect, Reset)


def test_caller_rules_apply_to_calls_and_receiver_rules_to_deliveries() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"receiver": "predict", "do": {"delay_seconds": 1}}, {"caller": "predict", "do": {"delay_seconds": 2}}])
    call = faults.of_call("pubsub", "pubsub.projects.topics.publish", lambda: "predict")
    delivery = faults.of_event("predict")
    assert call is not None and call.effect == Delay(2)
    assert delivery is not None and delivery.effect == Delay(1)
    assert faults.of_event("import_model") is None


def test_a_delay_without_a_service_applies_to_calls_and_deliveries_but_not_jobs() -> None:
    faults = Faults()
    faults.add([{"do": DELAY}])
    assert hits(faults, 1) == [1]
    assert faults.of_event("predict") is not None
    assert faults.of_push() is not None
    assert faults.of_job() is None


def test_a_late_response_applies_to_calls_only() -> None:
    faults = Faults()
    faults.add([{"do": DELAY, "when": "after"}])
    assert hits(faults, 1) == [1]
    assert faults.of_event("predict") is None


@pytest.mark.parametrize("rule", [{}, {"service": "pubsub"}, {"method": "pubsub.*"}, {"rate": 1}])
def test_a_status_that_applies_to_calls_does_not_apply_to_deliveries(rule: dict[str, Any]) -> None:
    faults = Faults()
    faults.add([{**rule, "do": STATUS}])
    assert hits(faults, 1, service="pubsub", method="pubsub.projects.topics.publish") == [1]
    assert faults.of_event("predict") is None
    assert faults.of_push() is None


@pytest.mark.parametrize("rule", [{"service": "eventarc"}, {"receiver": "predict"}, {"method": "eventarc.deliver"}])
def test_a_status_that_applies_to_events_does_not_apply_to_calls(rule: dict[str, Any]) -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{**rule, "do": STATUS}])
    assert faults.of_event("predict") is not None
    assert faults.of_push() is None
    assert hits(faults, 1) == []


def test_clearing_one_rule_keeps_the_others() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    first, second, third = faults.add([{"do": {"reset": True}}] * 3)
    faults.clear(second)
    assert [each["id"] for each in faults.describe()] == [first, third]


def test_clearing_without_an_id_removes_all_rules() -> None:
    faults = Faults(CALLERS, RECEIVERS)
    faults.add([{"do": {"reset": True}}] * 3)
    faults.clear()
    assert not faults


def test_a_rule_applies_to_jobs_only_if_it_names_their_method() -> None:
    faults = Faults()
    faults.add([{"service": "bigquery", "do": {"status": 500}}, {"method": "bigquery.*", "do": {"status": 500}}])
    assert faults.of_job() is None

    faults.add([{"method": "bigquery.jobs.run", "nth": 2, "do": {"status": 500, "reason": "jobBackendError"}}])
    assert faults.of_job() is None
    assert faults.of_job() is not None
