"""Loading files, for load jobs and LOAD DATA."""
