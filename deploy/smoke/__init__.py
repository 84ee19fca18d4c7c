"""A trial of a deployment: one drop, one prediction and one batch in dry run, whose events are received.

It uses the clients of Cloud Storage, BigQuery and Pub/Sub with the user's own rights, so it also runs on a local cloud.

plus_one.onnx  the model: it adds 1 to `x`, and its output is `y`
trial.py       what is sent, awaited and compared
received.py    the events, through a subscription of the trial's own
removal.py     removes what the trial created
command.py     the command line
"""
