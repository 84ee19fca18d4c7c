"""STRING and BYTES: parts, patterns, capitals and encodings."""
