"""Pub/Sub on this machine: topics, subscriptions, pull and push."""
