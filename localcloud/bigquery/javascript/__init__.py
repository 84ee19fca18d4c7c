"""Functions in JavaScript: each call runs in V8, in a process that has no network and no files.

functions     registers a routine as a function of DuckDB
processes     starts the processes, sends them rows, and ends them
worker        the process: it compiles functions and calls them
types         the types of parameters and results, and the encoding of their values
"""
