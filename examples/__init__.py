"""What the demo and the tutorial start from: invented titles of three publishers, and a model that tells them apart."""
