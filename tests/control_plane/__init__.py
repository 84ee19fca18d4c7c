"""A project of Google Cloud that exists only in memory, for tests of deployments.

errors.py     errors as Google words them
calls.py      one call, its answer, and the table of routes
project.py    the project: its resources, its policies and its moods
roles.py      the permissions of roles
policies.py   IAM: policies of resources, service accounts, Google's agents
services.py   service usage, resource manager, Pub/Sub, Cloud Scheduler and Cloud Build
buckets.py    Cloud Storage
monitoring.py Cloud Logging's metrics, Cloud Monitoring's alert policies and dashboards
functions.py  Cloud Functions, and what a deployed function creates: Cloud Run, Eventarc and its subscription
server.py     the project behind HTTP, for the real gcloud
gcloud.py     a stand-in for gcloud, which makes the same calls without starting a process
"""
