"""What a message can ask to be done with a model."""
