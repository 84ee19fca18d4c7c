"""Local Pub/Sub: topics, subscriptions, pull and push delivery."""
