"""Runs models in processes of their own, which have no network, can't write files, and end when they use too much.

pool        which worker predicts a batch, and what happens when a worker ends: the only door to models
processes   starts workers, sends them batches, and ends them
template    the process that imports a library once and forks a worker for each model
worker      what a worker does: it loads a model and predicts batches
frames      the messages between a worker and the local cloud
"""
