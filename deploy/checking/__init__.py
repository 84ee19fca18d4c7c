"""Checks before a deployment, which change nothing: could `apply` deploy to this project?

findings.py     what a check found, as data
permissions.py  the table of the permissions that the commands of a plan need, by the role that gives them
rest.py         calls that gcloud has no command for, with gcloud's own token
attempts.py     a call of a check, which may fail
checks.py       the checks of a project
datasets.py     that of the named datasets
keys.py         those of the keys of Cloud KMS
local.py        the checks of a local cloud
command.py      the command line
"""
