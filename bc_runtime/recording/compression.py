# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The ways in which rosbag2 and MCAP compress: whole files, single messages, chunks."""

from __future__ import annotations

from pathlib import Path

import lz4.frame
import zstandard

from bc_runtime.recording.errors import BagDamaged

#: First bytes of a Zstandard frame. A CDR message begins with a zero byte, so the two never look
#: alike.
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
CHUNK_COMPRESSIONS = ('', 'lz4', 'zstd')
_BLOCK = 4 * 1024 * 1024


def decompress_message(data: bytes) -> bytes:
    """Return a message as it was before `ros2 bag record --compression-mode message`.

    A message that is not compressed is returned as it is: the bytes tell, whatever the bag's
    metadata says.

    Raises:
        BagDamaged: The bytes begin as a compressed message and are none.
    """
    if data[:4] != ZSTD_MAGIC:
        return data
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        message = frame.decompress(data)
    except zstandard.ZstdError as error:
        raise BagDamaged(f'a compressed message cannot be decompressed: {error}') from error
    if not frame.eof:
        raise BagDamaged('a compressed message breaks off')
    return message


def decompress_chunk(compression: str, data: bytes, size: int) -> bytes:
    """Return the records of a chunk.

    Args:
        compression: As the chunk names it: empty, `lz4` or `zstd`.
        data: The compressed records.
        size: Their size before compression [bytes].

    Raises:
        BagDamaged: The bytes are not what the chunk says, or the compression is unknown.
    """
    try:
        if compression == 'zstd':
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
        elif compression == 'lz4':
            data = lz4.frame.decompress(data)
        elif compression:
            raise BagDamaged(f'its compression {compression!r} is unknown')
    except (zstandard.ZstdError, RuntimeError, MemoryError) as error:
        raise BagDamaged(f'it cannot be decompressed: {error}') from error
    if len(data) != size:
        raise BagDamaged(f'it holds {len(data)} instead of {size} bytes')
    return data


def decompress_torn_chunk(compression: str, data: bytes) -> bytes:
    """Return what can be read of a chunk that breaks off."""
    try:
        if compression == 'zstd':
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if compression == 'lz4':
            return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data))
    except (zstandard.ZstdError, RuntimeError, MemoryError):
        return b''
    return b'' if compression else data


def decompress_file(source: Path, target: Path) -> str:
    """Write the contents of a `.zstd` file as far as they can be read.

    Returns:
        What is wrong with the file, empty if it was read to its end.
    """
    with source.open('rb') as stream, target.open('wb') as out:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while block := stream.read(_BLOCK):
            try:
                while block:
                    out.write(frame.decompress(block))
                    block = frame.unused_data if frame.eof else b''
                    if block:
                        frame = zstandard.ZstdDecompressor().decompressobj()
            except zstandard.ZstdError as error:
                return f'{source} cannot be decompressed to its end: {error}'
        return '' if frame.eof else f'{source} breaks off: its compressed data has no end'
