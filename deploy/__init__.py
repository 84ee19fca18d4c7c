"""Makes what functions.yaml declares so on Google Cloud, and looks after the dead letters.

declaration.py   functions.yaml, read and checked
plan.py          from the declaration to the steps, each with its gcloud commands
steps.py         a step, and how it reads as a shell script
apply.py         runs steps, and takes them back
cloudbuild.py    cloudbuild.yaml, made from the same steps
dead_letters.py  what is held in the dead-letter subscription, and sending it again
"""
