"""Takes items from step to step, and starts the jobs of their steps."""
