"""Models that other libraries save, kept as small files with what the libraries return for sample rows.

Each program here writes its files into a folder: ``python -m tests.foreign_models.lightgbm_models FOLDER``. It needs the
environment of its library, which `make test-all` makes from `tests/environments`.
"""
