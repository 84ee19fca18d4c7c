"""Example data and a model: invented titles of three publishers, and a classifier of publishers."""
