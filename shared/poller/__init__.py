"""The poller: continues open work, and looks for work that was lost."""
