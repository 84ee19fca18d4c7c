"""Decompresses bodies in bounded memory: a thousand bytes of zeros take one byte with gzip."""

from __future__ import annotations

import zlib

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
