"""The failures that a retry test can order, and the texts that order them.

https://github.com/googleapis/storage-testbench#forced-failures-supported
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcloud.storage.rules.errors import InvalidRequest, NotImplementedHere

_KIBIBYTE = 1 << 10


@dataclass(frozen=True)
class ReturnStatus:
    """An answer with this HTTP status; with ``after_bytes`` once so much of an upload was received and kept."""

    status: int
    after_bytes: int | None = None


@dataclass(frozen=True)
class ResetConnection:
    """A reset of the connection instead of an answer."""


@dataclass(frozen=True)
class BreakDownload:
    """An end of the connection within a download, after so many bytes; without a number after a few."""

    after_bytes: int | None = None


@dataclass(frozen=True)
class BreakUpload:
    """An end of the connection within the last request of a resumable upload, after so many bytes of that request."""

    after_bytes: int


@dataclass(frozen=True)
class Stall:
    """A pause within an upload or a download, after so many bytes."""

    seconds: int
    after_bytes: int


Instruction = ReturnStatus | ResetConnection | BreakDownload | BreakUpload | Stall

_FORMS: Mapping[str, Callable[..., Instruction]] = {
    r"return-([45]\d\d)": lambda status: ReturnStatus(status),
    r"return-([45]\d\d)-after-(\d+)K": lambda status, size: ReturnStatus(status, size * _KIBIBYTE),
    r"return-reset-connection": ResetConnection,
    r"return-broken-stream": BreakDownload,
    r"return-broken-stream-after-(\d+)K": lambda size: BreakDownload(size * _KIBIBYTE),
    r"return-broken-stream-final-chunk-after-(\d+)B": BreakUpload,
    r"stall-for-(\d+)s-after-(\d+)K": lambda seconds, size: Stall(seconds, size * _KIBIBYTE),
}
SUPPORTED = (
    "return-X, return-X-after-YK, return-reset-connection, return-broken-stream, return-broken-stream-after-YK,"
    " return-broken-stream-final-chunk-after-YB, stall-for-Ts-after-YK"
)
"""The forms of instructions, as the testbench writes them."""


def parse_instruction(text: object) -> Instruction:
    """Return the failure that ``text`` orders.

    Raises:
        InvalidRequest: There is no such instruction.
        NotImplementedHere: The instruction is one for the gRPC API.
    """
    if isinstance(text, str):
        if text.startswith("redirect-"):
            raise NotImplementedHere(f"The local cloud does not have the gRPC API, for which {text} is.")
        for form, instruction in _FORMS.items():
            if found := re.fullmatch(form, text):
                return instruction(*map(int, found.groups()))
    raise InvalidRequest(f"Invalid instruction {text!r}; supported are {SUPPORTED}")
