"""Topics, subscriptions and their messages, without a network."""
