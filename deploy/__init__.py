"""Deploys what functions.yaml declares to Google Cloud, and handles dead letters.

declared.py      the declaration that is deployed
commands.py      what the commands have in common: the project, the region, the accounts
foundation.py    the steps that an owner of the project runs: APIs, accounts, buckets, topics, grants
agents.py        Google's service agents and their roles
deployment.py    the steps of every new version: functions, triggers, dead letters, schedules
plan.py          all of these in their order
steps.py         a step, a grant and a plan, as data
source.py        the hash of the functions' source
cloud.py         runs gcloud commands
advice.py        what errors mean, and what to do about them
passing.py       errors that pass by themselves
drift.py         compares what is declared with what exists
inventory.py     what a project has: of others under our names, and of ours that is not declared any more
refusals.py      what keeps `apply` from starting
apply.py         applies a plan, and shows what differs from it
destroy.py       removes what plans of a declaration created
script.py        a plan as a Bash script
cloudbuild.py    writes cloudbuild.yaml and cloudbuild-test.yaml from the same steps
checking/        checks before a deployment, which change nothing
smoke/           a trial of a deployment, which removes everything afterwards
monitoring/      metrics, alerts and a dashboard, as steps of the plan
dead_letters.py  lists the messages of the dead-letter subscription, and publishes them again
"""
