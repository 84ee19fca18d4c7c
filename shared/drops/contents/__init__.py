"""What the model bucket holds: the files of drops, what they say, and objects that belong to no drop."""
