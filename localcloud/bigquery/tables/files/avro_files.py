"""Reads the headers of Avro files, and compresses their blocks.

https://avro.apache.org/docs/1.11.1/specification/#object-container-files
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16


def read_schema(path: Path) -> dict[str, Any]:
    """Return the schema of an Avro file. Raises ``QueryError`` if it is not one."""
    with path.open("rb") as content:
        schema: dict[str, Any] = json.loads(_header(content)[b"avro.schema"])
    return schema


def compress(path: Path, codec: str) -> None:
    """Compress the blocks of an uncompressed Avro file.

    Args:
        path: The file, which is replaced.
        codec: ``DEFLATE`` or ``SNAPPY``.
    """
    packed = path.with_suffix(".packed")
    with path.open("rb") as content, packed.open("wb") as target:
        header = _header(content) | {b"avro.codec": codec.lower().encode()}
        sync = content.read(_SYNC_BYTES)
        target.write(_MAGIC + _number(len(header)))
        for name, value in header.items():
            target.write(_number(len(name)) + name + _number(len(value)) + value)
        target.write(_number(0) + sync)
        while rows := _read_number(content):
            block = _CODECS[codec](content.read(_read_number(content)))
            target.write(_number(rows) + _number(len(block)) + block + content.read(_SYNC_BYTES))
    packed.replace(path)


def _deflated(block: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush()


def _snappy(block: bytes) -> bytes:
    packed: bytes = pa.compress(block, codec="snappy", asbytes=True)
    return packed + zlib.crc32(block).to_bytes(4, "big")


_CODECS: Mapping[str, Callable[[bytes], bytes]] = {"DEFLATE": _deflated, "SNAPPY": _snappy}


def _header(content: BinaryIO) -> dict[bytes, bytes]:
    if content.read(len(_MAGIC)) != _MAGIC:
        raise QueryError(
            "Error while reading data, error message: The Apache Avro library failed to parse the header with the following "
            "error: Invalid data file. Magic does not match",
            reason="invalid",
        )
    return dict(_entries(content))


def _entries(content: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while count := _read_number(content):
        if count < 0:
            _read_number(content)
        for _ in range(abs(count)):
            name = content.read(_read_number(content))
            yield name, content.read(_read_number(content))


def _read_number(content: BinaryIO) -> int:
    """Read a number in zigzag encoding; 0 at the end of the file."""
    number = shift = 0
    while byte := content.read(1):
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
    return (number >> 1) ^ -(number & 1)


def _number(value: int) -> bytes:
    written, rest = bytearray(), (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)
