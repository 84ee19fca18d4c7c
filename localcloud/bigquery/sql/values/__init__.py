"""The values that a statement is given: parameters, variables of scripts, system variables."""
