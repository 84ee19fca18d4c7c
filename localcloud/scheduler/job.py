"""A job, read from its REST resource and checked against the rules of Cloud Scheduler.

https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from localcloud.base.api_errors import InvalidArgument, Unimplemented
from localcloud.scheduler.shape import SETTINGS, check_shape

NAME = re.compile(r"projects/[A-Za-z0-9:.-]+/locations/[a-z0-9-]+/jobs/[A-Za-z0-9_-]{1,500}")
TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
DURATION = re.compile(r"(\d+(?:\.\d{1,9})?)s")
LONGEST_DESCRIPTION = 500
# Of App Engine, which Cloud Scheduler takes too: https://cloud.google.com/appengine/docs/flexible/scheduling-jobs-with-cron-yaml
IN_ENGLISH = re.compile(
    r"every \d+ (minutes|mins|hours)|every (day|(mon|tue|wed|thu|fri|sat|sun)\w*)|(\d(st|nd|rd|th)|first|second|third) ",
    re.IGNORECASE,
)
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
METHODS = BODY_METHODS | {"GET", "HEAD", "DELETE", "OPTIONS"}

_TOKENS = ("oauthToken", "oidcToken")
TARGETS = ("httpTarget", "pubsubTarget")


@dataclass(frozen=True)
class RetryConfig:
    """How often and when a failed attempt is retried."""

    retries: int = 0
    maximum_seconds: float = 0.0
    """How long after the first attempt retries may start, in seconds; 0 sets no limit."""
    minimum_backoff_seconds: float = 5.0
    maximum_backoff_seconds: float = 3600.0
    doublings: int = 5

    def backoff_seconds(self, failures: int) -> float:
        """Return the pause after the ``failures``-th failure (from 1) in seconds.

        It doubles ``doublings`` times, then grows by the last step.
        https://cloud.google.com/scheduler/docs/configuring/retry-jobs#max-doublings
        """
        doubled = self.minimum_backoff_seconds * 2.0 ** min(failures - 1, self.doublings)
        beyond = max(0, failures - 1 - self.doublings)
        return min(doubled * (1 + beyond), self.maximum_backoff_seconds)

    def allows(self, failures: int, elapsed_seconds: float) -> bool:
        """Return whether a retry is allowed after ``failures`` attempts, ``elapsed_seconds`` after the first began."""
        if self.retries == 0 and self.maximum_seconds == 0:
            return False
        # With both limits set, retries continue until both are reached.
        return failures <= self.retries or elapsed_seconds < self.maximum_seconds


@dataclass(frozen=True)
class HttpTarget:
    """An HTTP request to send."""

    uri: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class PubSubTarget:
    """A message to publish."""

    topic: str
    """``projects/P/topics/T``."""
    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A target and a schedule."""

    name: str
    """``projects/P/locations/L/jobs/J``."""
    schedule: str
    time_zone: tzinfo
    target: HttpTarget | PubSubTarget
    attempt_deadline_seconds: float
    retry: RetryConfig
    resource: Mapping[str, Any]
    """The settings as the REST resource shows them."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after ``moment`` at which the job is due, in UTC."""
        # The cron expression applies to local time, so that a daily job keeps its hour during summer time.
        due: datetime = croniter(self.schedule, moment.astimezone(self.time_zone)).get_next(datetime)
        return due.astimezone(UTC)

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rsplit("/", 1)[-1]


def parse_job(resource: Mapping[str, Any]) -> Job:
    """Return the job that ``resource`` describes. Raises ``InvalidArgument``."""
    check_shape(resource)
    name = resource.get("name", "")
    if not NAME.fullmatch(name):
        raise InvalidArgument(f"Job name must be formatted: 'projects/<p>/locations/<l>/jobs/<j>', not {name!r}.")
    description = resource.get("description", "")
    if len(description) > LONGEST_DESCRIPTION:
        raise InvalidArgument(
            f"Job.description has {len(description)} characters; at most {LONGEST_DESCRIPTION} are allowed."
        )
    schedule = resource.get("schedule", "")
    if IN_ENGLISH.match(schedule):
        raise Unimplemented(
            f"The local Cloud Scheduler does not have schedules in English: {schedule!r}. Write a cron."
        )
    if len(schedule.split()) != 5 or not croniter.is_valid(schedule):
        raise InvalidArgument(f"Schedule or time zone is invalid: {schedule!r} is not a cron of five fields.")
    return Job(
        name=name,
        schedule=schedule,
        time_zone=_parse_time_zone(resource.get("timeZone", "")),
        target=_parse_target(resource),
        attempt_deadline_seconds=_parse_deadline(resource),
        retry=_parse_retry(resource.get("retryConfig", {})),
        resource=_settings(resource),
    )


def _settings(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``resource``, completed with the defaults of the service."""
    settings = {name: resource[name] for name in SETTINGS if name in resource}
    settings["timeZone"] = settings.get("timeZone") or "Etc/UTC"
    settings["retryConfig"] = {
        "maxRetryDuration": "0s",
        "minBackoffDuration": "5s",
        "maxBackoffDuration": "3600s",
        "maxDoublings": 5,
        **settings.get("retryConfig", {}),
    }
    if "httpTarget" in settings:
        settings["attemptDeadline"] = settings.get("attemptDeadline", "180s")
        settings["httpTarget"] = {"httpMethod": "POST", **settings["httpTarget"]}
        settings["httpTarget"]["headers"] = {
            "User-Agent": "Google-Cloud-Scheduler",
            **settings["httpTarget"].get("headers", {}),
        }
    return settings


def _parse_time_zone(name: str) -> tzinfo:
    if name.lower() in ("", "utc", "etc/utc"):
        return UTC  # does not need the time zone database, which a small machine may lack
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidArgument(f"Schedule or time zone is invalid: there is no time zone {name!r}.") from error


def _parse_target(resource: Mapping[str, Any]) -> HttpTarget | PubSubTarget:
    match [name for name in TARGETS if name in resource]:
        case ["httpTarget"]:
            return _parse_http_target(resource["httpTarget"])
        case ["pubsubTarget"]:
            return _parse_pubsub_target(resource["pubsubTarget"])
        case _:
            raise InvalidArgument("A job needs one target: httpTarget or pubsubTarget.")


def _parse_pubsub_target(target: Mapping[str, Any]) -> PubSubTarget:
    topic = target.get("topicName", "")
    if not TOPIC.fullmatch(topic):
        raise InvalidArgument(f"PubsubTarget.topicName must be formatted: 'projects/<p>/topics/<t>', not {topic!r}.")
    data = _decode(target.get("data", ""), "pubsubTarget.data")
    attributes = dict(target.get("attributes", {}))
    if not data and not attributes:
        raise InvalidArgument("PubsubTarget must have data or at least one attribute.")
    return PubSubTarget(topic, data, attributes)


def _parse_http_target(target: Mapping[str, Any]) -> HttpTarget:
    uri = target.get("uri", "")
    if not uri.startswith(("http://", "https://")):
        raise InvalidArgument(f"HttpTarget.uri must begin with http:// or https://, not be {uri!r}.")
    method = target.get("httpMethod", "POST")
    if method not in METHODS:
        raise InvalidArgument(f"Invalid value at 'job.http_target.http_method': {method!r}.")
    body = _decode(target.get("body", ""), "httpTarget.body")
    if body and method not in BODY_METHODS:
        raise InvalidArgument(f"HttpTarget.body is allowed only with POST, PUT or PATCH, not with {method}.")
    tokens = [name for name in _TOKENS if name in target]
    if len(tokens) > 1:
        raise InvalidArgument(f"HttpTarget must have at most one of {' and '.join(_TOKENS)}.")
    for name in tokens:
        if not target[name].get("serviceAccountEmail"):
            raise InvalidArgument(f"HttpTarget.{name} must have a serviceAccountEmail.")
    headers = dict(target.get("headers", {}))
    if body and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/octet-stream"
    return HttpTarget(uri, method, headers, body)


def _parse_deadline(resource: Mapping[str, Any]) -> float:
    seconds = _duration(resource.get("attemptDeadline", "180s"), "attemptDeadline")
    if "httpTarget" in resource and not 15 <= seconds <= 1800:
        raise InvalidArgument(f"AttemptDeadline must be between 15 seconds and 30 minutes, not {seconds} seconds.")
    return seconds


def _parse_retry(config: Mapping[str, Any]) -> RetryConfig:
    retries = config.get("retryCount", 0)
    if not 0 <= retries <= 5:
        raise InvalidArgument(f"RetryConfig.retryCount must be between 0 and 5, not {retries}.")
    parsed = RetryConfig(
        retries=retries,
        maximum_seconds=_duration(config.get("maxRetryDuration", "0s"), "retryConfig.maxRetryDuration"),
        minimum_backoff_seconds=_duration(config.get("minBackoffDuration", "5s"), "retryConfig.minBackoffDuration"),
        maximum_backoff_seconds=_duration(config.get("maxBackoffDuration", "3600s"), "retryConfig.maxBackoffDuration"),
        doublings=config.get("maxDoublings", 5),
    )
    if parsed.doublings < 0:
        raise InvalidArgument(f"RetryConfig.maxDoublings must be 0 or more, not {parsed.doublings}.")
    if parsed.minimum_backoff_seconds > parsed.maximum_backoff_seconds:
        raise InvalidArgument(
            f"RetryConfig.minBackoffDuration ({parsed.minimum_backoff_seconds}s) must not be longer than maxBackoffDuration"
            f" ({parsed.maximum_backoff_seconds}s)."
        )
    return parsed


def _duration(text: str, field_name: str) -> float:
    match = DURATION.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"Invalid value at 'job.{field_name}': {text!r} is not a duration such as '180s'.")
    return float(match[1])


def _decode(text: str, field_name: str) -> bytes:
    try:
        return base64.b64decode(text, altchars=b"-_" if "-" in text or "_" in text else None, validate=True)
    except binascii.Error as error:
        raise InvalidArgument(f"Invalid value at 'job.{field_name}': Base64 decoding failed.") from error
