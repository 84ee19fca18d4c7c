"""Small tables under the names of the public ones that the documents use, so that their statements run as printed."""
