"""The process that runs functions in JavaScript: ``python worker.py DESCRIPTOR MEMORY_BYTES HEAP_BYTES``.

DESCRIPTOR is a socket. It carries a request and its reply in turns, both JSON. The process ends when its standard input
does. V8 offers a function no files and no network, and the process has none (see ``localcloud.base.sandbox``).
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections import OrderedDict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from localcloud.base.sandbox import restrict

# Each function has an engine of its own, so that functions do not share global variables.
_KEPT_ENGINES = 16
# V8's report of an error: the line in the script, the message, the line's text, and a mark below the column.
_REPORT = re.compile(
    r"\A<anonymous>:(?P<line>\d+): (?P<message>.*?)\n(?P<source>[^\n]*)\n(?P<before>[ \t]*)\^", re.DOTALL
)
# BigQuery's functions have no timers.
_NO_TIMERS = "globalThis.setTimeout = globalThis.clearTimeout = undefined;"


class _Engines:
    def __init__(self, heap_bytes: int) -> None:
        self._heap_bytes = heap_bytes
        self._engines: OrderedDict[str, tuple[Any, Any]] = OrderedDict()

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call the function of a request once for each row; return the values, or why it failed."""
        import py_mini_racer

        try:
            result = self._function(request)(json.dumps(request["rows"]))
            if isinstance(result, py_mini_racer.JSPromise):
                result = result.get()
            reply: dict[str, Any] = json.loads(result)
        except py_mini_racer.JSEvalException as error:
            # V8 ends a script at the limit of its heap; the script's error is then empty.
            engine = self._engines.get(request["key"])
            if isinstance(error, py_mini_racer.JSOOMException) or (
                engine and engine[0].was_hard_memory_limit_reached()
            ):
                return {"out_of_memory": True}
            return _failure(str(error), request["signature"])
        except py_mini_racer.JSPromiseError as error:
            return _failure(str(error.reason).partition("\n")[0], request["signature"])
        return reply

    def _function(self, request: dict[str, Any]) -> Any:
        """Return the compiled function of a request, which takes the JSON of rows."""
        from py_mini_racer import MiniRacer

        key = request["key"]
        if key not in self._engines:
            engine = MiniRacer()
            engine.set_hard_memory_limit(self._heap_bytes)
            # The first line is ours, so the second line of the script is the first line of the function.
            engine.eval(
                f"{_NO_TIMERS} const entry = function ({', '.join(request['names'])}) {{\n{request['body']}\n}};"
            )
            conversions = Path(__file__).with_name("conversions.js").read_text()
            types = f"{json.dumps(request['parameters'])}, {json.dumps(request['result'])}"
            self._engines[key] = engine, engine.eval(f"{conversions.strip()}(entry, {types})")
            if len(self._engines) > _KEPT_ENGINES:
                self._engines.popitem(last=False)
        self._engines.move_to_end(key)
        return self._engines[key][1]


def _failure(report: str, signature: str) -> dict[str, Any]:
    """Return BigQuery's words for an error of V8."""
    match = _REPORT.match(report)
    if match is None:
        return {"failure": f"{report.strip()} at {signature}"}
    place = f"line {max(int(match['line']) - 1, 1)}, column {len(match['before']) + 1}"
    return {"failure": f"{match['message']} at {signature} {place}"}


def _end_with_standard_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def main(descriptor: int, memory_bytes: int, heap_bytes: int) -> None:
    """Answer requests until the other side closes the socket.

    Args:
        descriptor: The socket.
        memory_bytes: The limit of the memory that the process allocates.
        heap_bytes: The limit of the heap of each function.
    """
    # The thread that started this process may end before it.
    restrict(None, memory_bytes, end_with_parent=False)
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    requests = Connection(descriptor)
    engines = _Engines(heap_bytes)
    while True:
        try:
            request = json.loads(requests.recv_bytes())
        except EOFError:
            return
        requests.send_bytes(json.dumps(engines.reply(request)).encode())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
