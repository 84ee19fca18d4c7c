"""What buckets and objects are, and the rules for their fields and changes. Nothing here keeps anything."""
