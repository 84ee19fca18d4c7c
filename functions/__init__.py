"""The deployed functions, one module each: parse, decide, claim, submit, record."""
