"""Numbers: their types, operators, functions and errors."""
