"""``make demo``: starts a local cloud with the functions and shows the whole story, with real results.

The story uses only official clients and plain HTTP; it does not reach into the local cloud.

story.py      the steps of the story, and the checks that each of them succeeded
messages.py   the messages, the SQL and the shell commands that the story shows
world.py      the clients
events.py     the completion events, read from their subscription
stage.py      the output: headings, sentences, tables and progress
"""
