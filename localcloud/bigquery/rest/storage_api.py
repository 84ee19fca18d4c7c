"""Serves bqemulator's Storage Read and Write API over gRPC, on threads instead of an event loop."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.catalog.models import TableMeta
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler, _parse_table_path
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.write_stream import WriteStream
from google.cloud.bigquery_storage_v1 import types

from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.rest.read_rows import ReadEngine
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_DATE, PARTITION_TIME
from localcloud.bigquery.tables.context import engine_of
from localcloud.bigquery.tables.partitions import Partitions
from localcloud.bigquery.tables.results import AnonymousTables

_THREADS = 16
_MESSAGE_BYTES = 64 * 1024 * 1024
_DATE = re.compile(rf"\b{PARTITION_DATE}\b", re.IGNORECASE)


class ReadHandler(BigQueryReadHandler):
    """bqemulator's read handler, which can also read anonymous tables."""

    def __init__(self, context: AppContext, anonymous: AnonymousTables) -> None:
        """Create the handler."""
        engine: Any = ReadEngine(engine_of(context))
        super().__init__(replace(context, engine=engine))
        self._anonymous = anonymous

    def _handle_create_read_session(self, request_bytes: bytes, context: grpc.ServicerContext) -> bytes:
        request = types.CreateReadSessionRequest.deserialize(request_bytes)
        names = _parse_table_path(request.read_session.table)
        if names is not None:
            self._anonymous.materialise(TableName(*names))
            table = self._ctx.catalog.get_table(*names)
            if table is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "Not found: Table {}:{}.{}".format(*names))
            elif _is_ingested(table):
                options = request.read_session.read_options
                if not options.selected_fields:
                    options.selected_fields.extend(f.name for f in table.schema_.fields)
                options.row_restriction = _DATE.sub(f"DATE({PARTITION_TIME})", options.row_restriction)
                request_bytes = types.CreateReadSessionRequest.serialize(request)
        return super()._handle_create_read_session(request_bytes, context)


class WriteHandler(BigQueryWriteHandler):
    """bqemulator's write handler, which also writes tables with a hidden column."""

    def _flush_to_target(self, stream: WriteStream, rows: pa.Table) -> None:
        names = stream.project_id, stream.dataset_id, stream.table_id
        if not _is_ingested(self._ctx.catalog.get_table(*names)):
            super()._flush_to_target(stream, rows)
            return
        columns = ", ".join(quote(name) for name in rows.column_names)
        with self._write_lock:
            self._ctx.engine.connection.register("appended_rows", rows)
            try:
                self._ctx.engine.execute(
                    f"INSERT INTO {TableName(*names).quoted} ({columns}) SELECT * FROM appended_rows"
                )
            finally:
                self._ctx.engine.connection.unregister("appended_rows")
            self._ctx.snapshots.record_change(*names)


def _is_ingested(table: TableMeta | None) -> bool:
    partitions = Partitions.of(table)
    return partitions is not None and partitions.ingested


def serve_storage_api(context: AppContext, anonymous: AnonymousTables) -> tuple[grpc.Server, int]:
    """Serve the Storage API on a free port; return the server and the port."""
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="bigquery-storage-api"),
        handlers=[ReadHandler(context, anonymous), WriteHandler(context)],
        options=[
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
