"""Example data and models: invented titles of three publishers, and a model that tells the publishers apart."""
