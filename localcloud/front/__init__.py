"""What every call to a service passes: naming, callers, faults and recording."""
