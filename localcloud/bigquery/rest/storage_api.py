"""Serves bqemulator's Storage Read and Write API over gRPC, on threads instead of an event loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
from bqemulator.api.dependencies import AppContext
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler, _parse_table_path
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from google.cloud.bigquery_storage_v1 import types

from localcloud.bigquery.sql.statement import TableName
from localcloud.bigquery.tables.results import AnonymousTables

_THREADS = 16
_MESSAGE_BYTES = 64 * 1024 * 1024


class ReadHandler(BigQueryReadHandler):
    """bqemulator's read handler, which can also read anonymous tables."""

    def __init__(self, context: AppContext, anonymous: AnonymousTables) -> None:
        """Create the handler."""
        super().__init__(context)
        self._anonymous = anonymous

    def _handle_create_read_session(self, request_bytes: bytes, context: grpc.ServicerContext) -> bytes:
        request = types.CreateReadSessionRequest.deserialize(request_bytes)
        names = _parse_table_path(request.read_session.table)
        if names is not None:
            self._anonymous.materialise(TableName(*names))
            if self._ctx.catalog.get_table(*names) is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "Not found: Table {}:{}.{}".format(*names))
        return super()._handle_create_read_session(request_bytes, context)


def serve_storage_api(context: AppContext, anonymous: AnonymousTables) -> tuple[grpc.Server, int]:
    """Serve the Storage API on a free port; return the server and the port."""
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="bigquery-storage-api"),
        handlers=[ReadHandler(context, anonymous), BigQueryWriteHandler(context)],
        options=[
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
