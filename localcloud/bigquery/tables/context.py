"""Opens the database and creates bqemulator's application context around it, as bqemulator's own server does."""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path
from typing import Any

from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.config import PersistenceMode, Settings
from bqemulator.domain.events import EventBus
from bqemulator.observability.metrics import MetricsRegistry
from bqemulator.row_access.policy import RowAccessPolicyManager
from bqemulator.versioning.materialized_views import hydrate_subscriptions
from duckdb_extensions import import_extension

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors import function_errors
from localcloud.bigquery.sql.functions import adjustments, casts, encoders, networks, rewriting, type_names, vectors
from localcloud.bigquery.sql.functions.formats import cast_clause, printing
from localcloud.bigquery.sql.functions.json import changes as json_changes
from localcloud.bigquery.sql.functions.json import lax as json_lax
from localcloud.bigquery.sql.functions.json import output as json_output
from localcloud.bigquery.sql.functions.json import parsing as json_parsing
from localcloud.bigquery.sql.functions.json.texts import JSON_MACROS
from localcloud.bigquery.sql.functions.numbers import arithmetic, decimals, nan
from localcloud.bigquery.sql.functions.texts import byte_patterns, byte_strings, capitals, regular_expressions, sounds
from localcloud.bigquery.sql.functions.times import format_reading, intervals
from localcloud.bigquery.sql.functions.times import texts as time_texts
from localcloud.bigquery.sql.structs import alternatives, elements
from localcloud.bigquery.sql.structs.subscripts import MACROS
from localcloud.bigquery.sql.tables import lengths
from localcloud.bigquery.tables.catalog import Catalog, EmulatorClock
from localcloud.bigquery.tables.columns import null_elements
from localcloud.bigquery.tables.engine import LOCKED_SETTINGS, MEMORY, Engine
from localcloud.bigquery.tables.inner_queries import replace_first_steps
from localcloud.bigquery.tables.routines import types as routine_types
from localcloud.bigquery.tables.routines.macros import Routines
from localcloud.bigquery.tables.snapshots import Snapshots

_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 128 * 1024


def open_context(directory: Path | None, clock: Clock, project: str) -> AppContext:
    """Open the database and return its context.

    Args:
        directory: The folder of the database; None keeps it in memory.
        clock: The clock.
        project: The project of names without one.
    """
    _return_freed_blocks()
    replace_first_steps()
    import_extension("spatial")
    settings = Settings(
        rest_port=0,
        grpc_port=0,
        default_project_id=project,
        persistence_mode=PersistenceMode.EPHEMERAL if directory is None else PersistenceMode.PERSISTENT,
        data_dir=directory,
        enable_format_extensions=False,  # files are read by a database of their own (`file_database.py`)
    )
    engine = Engine(settings)
    try:
        return _context(engine, settings, directory, EmulatorClock(clock))
    except BaseException:
        engine.spill.cleanup()
        raise


def _context(engine: Engine, settings: Settings, directory: Path | None, clock: EmulatorClock) -> AppContext:
    asyncio.run(engine.start())
    # Cursors do not inherit session settings, so the settings are global.
    engine.execute("SET GLOBAL TimeZone = 'UTC'")
    engine.execute(f"SET GLOBAL memory_limit = '{MEMORY}'")
    # A checkpoint on a full disk ends the use of the database, so ``Engine.checkpoint`` looks for room first.
    engine.execute("SET GLOBAL checkpoint_threshold = '1TB'")
    for functions in (
        function_errors,
        intervals,
        byte_strings,
        byte_patterns,
        capitals,
        casts,
        decimals,
        regular_expressions,
        printing,
        cast_clause,
        format_reading,
        json_output,
        json_changes,
        json_lax,
        json_parsing,
        networks,
        sounds,
        type_names,
        time_texts,
    ):
        functions.register(engine.connection)
    modules = (
        null_elements,
        routine_types,
        alternatives,
        elements,
        encoders,
        vectors,
        nan,
        adjustments,
        arithmetic,
        lengths,
        intervals,
        rewriting,
    )
    for macro in (*MACROS, *JSON_MACROS, *(macro for module in modules for macro in module.MACROS)):
        engine.execute(macro)
    engine.execute("SET GLOBAL temp_directory = '{}'".format(engine.spill.name.replace("'", "''")))
    for setting in LOCKED_SETTINGS:
        engine.execute(f"SET GLOBAL {setting}")
    repository = MemoryCatalogRepository(engine) if directory is None else DuckDBCatalogRepository(engine)
    if isinstance(repository, DuckDBCatalogRepository):
        repository.ensure_ready()
    catalog: Any = Catalog(repository, engine, clock)
    events = EventBus()
    udf_registry = Routines(settings)
    context = AppContext(
        settings=settings,
        clock=clock,
        engine=engine,
        catalog=catalog,
        metrics=MetricsRegistry(),
        events=events,
        udf_registry=udf_registry,
        snapshots=Snapshots(engine, catalog, clock, events, retention_days=settings.time_travel_retention_days),
        row_access=RowAccessPolicyManager(catalog=catalog, clock=clock),
    )
    udf_registry.hydrate(repository, engine)  # reads private attributes of the repository
    hydrate_subscriptions(context)
    return context


def _return_freed_blocks() -> None:
    """Have the C library return freed blocks of DuckDB to the system immediately.

    By default, glibc raises its threshold for such blocks when a large block is freed. The blocks that it then keeps add
    up to hundreds of megabytes while tables move between memory and files. A fixed threshold prevents this:
    https://man7.org/linux/man-pages/man3/mallopt.3.html . Other C libraries have neither the call nor the behaviour.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def close_context(context: AppContext) -> None:
    """Close the database."""
    try:
        if isinstance(context.udf_registry, Routines):
            context.udf_registry.close()
        asyncio.run(context.engine.stop())
    finally:
        engine_of(context).spill.cleanup()


def engine_of(context: AppContext) -> Engine:
    """Return the context's engine. Raises ``QueryError`` if the context is not from ``open_context``."""
    if not isinstance(context.engine, Engine):
        raise QueryError("the engine is not for several threads", reason="internalError")
    return context.engine


def catalog_of(context: AppContext) -> Catalog:
    """Return the context's catalog. Raises ``QueryError`` if the context is not from ``open_context``."""
    catalog: Any = context.catalog
    if not isinstance(catalog, Catalog):
        raise QueryError("the catalog is not for several threads", reason="internalError")
    return catalog
