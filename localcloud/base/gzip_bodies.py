"""Decompresses bodies, whole or while they arrive, in bounded memory: a thousand bytes of zeros take one byte with gzip."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from localcloud.base.api_errors import MalformedBody

_LARGEST_PIECE = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


def gunzip(content: bytes, largest: int) -> bytes:
    """Return ``content`` without its gzip compression.

    Args:
        content: The compressed bytes.
        largest: The largest number of bytes that are returned.

    Raises:
        ValueError: The content is not gzip, is cut off, or has more than ``largest`` bytes.
    """
    decompressor = zlib.decompressobj(_GZIP)
    try:
        plain = decompressor.decompress(content, largest)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not decompressor.eof:
        if decompressor.unconsumed_tail:
            raise ValueError(f"it has more than {largest:,} bytes without its compression")
        raise ValueError("it is cut off")
    return plain


async def gunzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a body contains without its gzip compression, in pieces of at most 1 MiB.

    Raises ``MalformedBody`` if the body is not gzip, or is cut off.
    """
    decompressor = zlib.decompressobj(_GZIP)
    try:
        async for piece in pieces:
            while piece and not decompressor.eof:
                yield decompressor.decompress(piece, _LARGEST_PIECE)
                piece = decompressor.unconsumed_tail
    except zlib.error as error:
        raise MalformedBody(f"The body is not gzip, as its Content-Encoding says: {error}") from None
    if not decompressor.eof or decompressor.unused_data:
        raise MalformedBody("The body is not one whole gzip file, as its Content-Encoding says.")
