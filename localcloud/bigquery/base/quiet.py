"""Silences bqemulator's log up to critical messages, since its errors are returned to the client.

Import this module before any part of bqemulator, which already logs on import. bqemulator's own logging set-up is not
used: it would replace the handlers of this process's root logger.
"""

from __future__ import annotations

import logging

import structlog

structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
)

# sqlglot warns about clauses that DuckDB does not have, such as CLUSTER BY.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
