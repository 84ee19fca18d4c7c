"""The deployed functions, one module each: parse the event, plan the work, claim it, advance it."""
