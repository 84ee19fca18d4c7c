"""The answers of a batch: what they say, which rows are sent again, and how they reach the output."""
