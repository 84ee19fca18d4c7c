"""Eventarc on this machine: what happens in the other services, brought to functions as CloudEvents."""
