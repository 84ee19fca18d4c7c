"""Rules that concern more than one field of a declaration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from declaration.document import FieldPath, dotted
from declaration.fields import mebibytes
from declaration.limits import (
    BUCKET_NAME,
    ENTRY_POINT,
    ENVIRONMENT,
    EVENT_TIMEOUT_SECONDS,
    MEMORY_MIB_OF_CPUS,
    MIB_PER_GIB,
)
from declaration.model import Declaration, Function, StorageTrigger, TopicTrigger

REQUIRED_ACCOUNTS = ("runtime", "invoker", "build")


class Problem(NamedTuple):
    """A field that is wrong."""

    path: FieldPath
    message: str
    """The rest of a sentence that begins with the field."""


def problems(declaration: Declaration, required_topics: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems of ``declaration``, which needs topics with the keys ``required_topics``."""
    for section, declared, required in (
        ("accounts", declaration.accounts, REQUIRED_ACCOUNTS),
        ("topics", declaration.topics, required_topics),
    ):
        for key in required:
            if key not in declared:
                yield Problem((section,), f"has no {key}, which is required; {_there_are(declared)}")
    for section, keys, form in (
        ("environments", declaration.environments, ENVIRONMENT),
        ("functions", declaration.functions, ENTRY_POINT),
    ):
        for key in keys:
            if re.fullmatch(form.pattern, key) is None:
                yield Problem((section,), f"has {key!r}; expected {form.expected}")
    yield from _retry(declaration)
    for name, function in declaration.functions.items():
        yield from _function(("functions", name), function, declaration)
    called = {name: each for name, each in declaration.functions.items() if not each.is_called_by_events}
    for key, schedule in declaration.schedules.items():
        yield from _reference(("schedules", key, "function"), schedule.function, called, "HTTP function")
    for key, account in declaration.accounts.items():
        for field, roles, targets, kind in (
            ("bucket_roles", account.bucket_roles, declaration.buckets, "bucket"),
            ("topic_roles", account.topic_roles, declaration.topics, "topic"),
            ("account_roles", account.account_roles, declaration.accounts, "account"),
        ):
            for target in roles:
                yield from _reference(("accounts", key, field, target), target, targets, kind)
    for key, feature in declaration.features.items():
        for target in feature.vertex_bucket_roles:
            path = ("features", key, "vertex_bucket_roles", target)
            yield from _reference(path, target, declaration.buckets, "bucket")
        if feature.enabled and bool(feature.keys) != bool(feature.key_roles):
            empty, other = ("key_roles", "keys") if feature.keys else ("keys", "key_roles")
            yield Problem(
                ("features", key, empty), f"is empty; expected some, because {other} are given and the feature is on"
            )
    yield from _datasets(declaration)
    yield from _settings(declaration)
    for kind, named in _names(declaration):
        yield from _duplicates(kind, named)


def _names(declaration: Declaration) -> Iterator[tuple[str, Iterable[tuple[FieldPath, str | None]]]]:
    """Yield each kind of names that must differ from each other: the field of each name, and the name."""
    buckets, topics = declaration.buckets.items(), declaration.topics.items()
    functions, schedules = declaration.functions.items(), declaration.schedules.items()
    yield "account", [(("accounts", key, "id"), each.id) for key, each in declaration.accounts.items()]
    yield "bucket", [(("buckets", key, "name"), each.name) for key, each in buckets]
    yield "topic", [(("topics", key, "name"), each.name) for key, each in topics]
    yield "subscription", [(("topics", key, "hold"), each.hold) for key, each in topics]
    yield "function", [(("functions", key, "service"), each.service) for key, each in functions]
    yield "schedule", [(("schedules", key, "job"), each.job) for key, each in schedules]
    variables: list[tuple[FieldPath, str | None]] = [
        *((("buckets", key, "env"), each.env) for key, each in buckets),
        *((("topics", key, "env"), each.env) for key, each in topics),
        *((("functions", key, "env"), each.env) for key, each in functions),
        *((("schedules", key, "env"), each.env) for key, each in schedules),
    ]
    if declaration.datasets is not None:
        variables.append((("datasets", "readable", "env"), declaration.datasets.readable.env))
        variables.append((("datasets", "writable", "env"), declaration.datasets.writable.env))
    yield "variable", variables


def _duplicates(kind: str, named: Iterable[tuple[FieldPath, str | None]]) -> Iterator[Problem]:
    first: dict[str, FieldPath] = {}
    for path, name in named:
        if name in first:
            yield Problem(path, f"is {name}, the {kind} of {dotted(first[name])} already; expected another name")
        elif name is not None:
            first[name] = path


def problems_in(declaration: Declaration, project: str) -> Iterator[Problem]:
    """Yield the names that contain the project and cannot exist with ``project``."""
    for key, bucket in declaration.buckets.items():
        name = bucket.name_in(project)
        if re.fullmatch(BUCKET_NAME.pattern, name) is None:
            yield Problem(
                ("buckets", key, "name"), f"is {name} in the project {project}; expected {BUCKET_NAME.expected}"
            )


def _retry(declaration: Declaration) -> Iterator[Problem]:
    retry = declaration.retry
    if retry.maximum_backoff_seconds < retry.minimum_backoff_seconds:
        yield Problem(
            ("retry", "maximum_backoff_seconds"),
            f"is {retry.maximum_backoff_seconds}; expected at least minimum_backoff_seconds, "
            f"which is {retry.minimum_backoff_seconds}",
        )
    path = ("retry", "dead_letter_topic")
    if retry.dead_letter_topic in declaration.topics:
        if declaration.dead_letters.hold is None:
            yield Problem(
                path, f"is {retry.dead_letter_topic}, a topic without `hold`: it would drop every dead letter"
            )
    else:
        yield from _reference(path, retry.dead_letter_topic, declaration.topics, "topic")


def _datasets(declaration: Declaration) -> Iterator[Problem]:
    if declaration.datasets is None:
        return
    for key, access in (("readable", declaration.datasets.readable), ("writable", declaration.datasets.writable)):
        if access.names and access.env in declaration.settings:
            yield Problem(("settings", access.env), f"is given already by datasets.{key}.names")


def _settings(declaration: Declaration) -> Iterator[Problem]:
    """Yield the settings that would replace the name of a declared resource."""
    for section, declared in (
        ("buckets", declaration.buckets),
        ("topics", declaration.topics),
        ("schedules", declaration.schedules),
    ):
        for key, each in declared.items():
            if each.env is not None and each.env in declaration.settings:
                yield Problem(("settings", each.env), f"is given already by {section}.{key}")


def _function(path: FieldPath, function: Function, declaration: Declaration) -> Iterator[Problem]:
    match function.trigger:
        case StorageTrigger(bucket=bucket):
            yield from _reference((*path, "trigger", "bucket"), bucket, declaration.buckets, "bucket")
        case TopicTrigger(topic=topic):
            yield from _reference((*path, "trigger", "topic"), topic, declaration.topics, "topic")
            dead_letters = declaration.retry.dead_letter_topic
            if topic == dead_letters and declaration.topics[topic].hold is not None:
                yield Problem(
                    (*path, "trigger", "topic"),
                    f"is {topic}, the topic of dead letters, which would come back for ever; expected another topic",
                )
    if function.is_called_by_events and function.timeout_seconds > EVENT_TIMEOUT_SECONDS.most:
        yield Problem(
            (*path, "timeout_seconds"),
            f"is {function.timeout_seconds}; expected a whole number from {EVENT_TIMEOUT_SECONDS.least} to "
            f"{EVENT_TIMEOUT_SECONDS.most}, because events call the function",
        )
    if function.callers and function.is_called_by_events:
        yield Problem((*path, "callers"), "are refused, because only Eventarc calls a function with an event trigger")
    is_scheduled = path[-1] in declaration.scheduled
    if function.ingress is not None and (function.is_called_by_events or is_scheduled):
        caller = "Eventarc" if function.is_called_by_events else "Cloud Scheduler"
        yield Problem(
            (*path, "ingress"), f"is {function.ingress}; expected none, because only {caller} calls the function"
        )
    yield from _processor(path, function)


def _processor(path: FieldPath, function: Function) -> Iterator[Problem]:
    """Yield what does not go with the CPUs of a function.

    https://cloud.google.com/run/docs/configuring/services/cpu
    """
    if function.concurrency > 1 and (function.cpu or 0) < 1:
        has = f"has {function.cpu} CPU" if function.cpu else "without `cpu` has less than one CPU"
        yield Problem(
            (*path, "concurrency"),
            f"is {function.concurrency}; expected 1, because a function {has}; or declare `cpu: 1` or more",
        )
    if function.cpu is None:
        return
    memory = mebibytes(function.memory)
    least, most = next(limits for cpus, limits in MEMORY_MIB_OF_CPUS if function.cpu >= cpus)
    if not least <= memory <= most:
        yield Problem(
            (*path, "memory"),
            f"is {function.memory}; expected {_amount(least)} to {_amount(most)}, because `cpu` is {function.cpu}",
        )


def _amount(mib: int) -> str:
    return f"{mib // MIB_PER_GIB}Gi" if mib % MIB_PER_GIB == 0 else f"{mib}Mi"


def _reference(path: FieldPath, key: str, declared: Mapping[str, object], kind: str) -> Iterator[Problem]:
    if key not in declared:
        yield Problem(path, f"names {key}, which is not a declared {kind}; {did_you_mean(key, declared)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return what could be meant by ``name``: the most similar of the ``known`` names, and all of them."""
    names = list(known)
    similar = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {similar[0]}? {_there_are(names).capitalize()}" if similar else _there_are(names)


def _there_are(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"
