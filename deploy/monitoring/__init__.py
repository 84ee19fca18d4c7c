"""Metrics, alerts and a dashboard as code: what Cloud Logging and Cloud Monitoring watch.

metrics.py       the table of metrics that are counted from the functions' logs
alerts.py        the table of alerts, and the alert policies of Cloud Monitoring
channels.py      the notification channels of e-mail addresses
dashboard.py     the dashboard
resources.py     all of these as steps of a plan
"""
