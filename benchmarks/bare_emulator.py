"""Serves bqemulator alone, for comparison: ``python -m benchmarks.bare_emulator FILE``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bqemulator.config import LogLevel, Settings
from bqemulator.server import EmulatorServer
from duckdb_extensions import import_extension


async def serve(port_file: Path) -> None:
    """Serve until killed; write the port to ``port_file`` once the server answers."""
    server = EmulatorServer(Settings(rest_port=0, grpc_port=0, log_level=LogLevel.ERROR))
    await server.start()
    port_file.write_text(str(server.rest_port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    for extension in ("spatial", "avro"):
        import_extension(extension)
    asyncio.run(serve(Path(sys.argv[1])))
