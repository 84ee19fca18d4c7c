"""The one reader of ``deploy/functions.yaml``, for ``deploy/`` and ``localcloud/``; it imports nothing else of ours.

model.py      the declaration as frozen models
resources.py  the parts of it that functions use: accounts, buckets, topics, data, features, retry
fields.py     the types of single values, and the error that each gives
limits.py     what Google Cloud accepts, with the sources
cron.py       cron expressions
checks.py     rules that concern more than one field
document.py   YAML text, with the line of every field
reading.py    a file read, validated and checked
"""
