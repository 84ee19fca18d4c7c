"""ML.PREDICT: the functions that run models, in a query, as a stream, and for endpoints."""
