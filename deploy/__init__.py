"""Deploys what functions.yaml declares to Google Cloud, and handles dead letters.

declared.py      the declaration that is deployed
plan.py          turns the declaration into steps with gcloud commands
steps.py         a step, and its text as a shell script
apply.py         runs steps, and removes what they created
cloudbuild.py    writes cloudbuild.yaml from the same steps
dead_letters.py  lists the messages of the dead-letter subscription, and publishes them again
"""
