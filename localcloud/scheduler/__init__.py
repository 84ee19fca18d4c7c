"""Cloud Scheduler on this machine: HTTP requests and Pub/Sub messages on a cron, or now."""
