"""Google's services as a load test needs them: with the latency and the limits of the real ones, and almost no work."""
