"""Cloud Scheduler on this machine: HTTP requests and Pub/Sub messages on a cron, or now."""

from localcloud.scheduler.service import Scheduler

__all__ = ["Scheduler"]
