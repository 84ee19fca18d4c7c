"""Lets bqemulator log nothing but disasters. It has to be imported before any part of it, because importing already logs.

What goes wrong in it is told to the client. Its own set-up is not used: it would replace the handlers of this process's
root logger.
"""

from __future__ import annotations

import logging

import structlog

structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
)

# It warns of what DuckDB has no use for, as CLUSTER BY.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
