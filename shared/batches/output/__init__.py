"""The output of a batch: its places, the claims on its tables, and whether the answers fit its columns."""
