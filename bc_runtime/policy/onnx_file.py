# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Look into an ONNX file before it is given to ONNX Runtime.

Reads format versions, metadata and the names of external data files in one pass over the file's
structure; weights are skipped, not read. ONNX Runtime would need a whole session for the metadata
and would open the external files on the way. Field numbers: onnx.proto3 of https://github.com/onnx/onnx
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import hashlib
import os
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from bc_runtime.policy.beside import file_beside
from bc_runtime.policy.errors import ModelFileError
from bc_runtime.policy.protobuf import Field, Window, Wire, WireError, read_fields, write_bytes

MAX_METADATA_BYTES = 10_000_000
MAX_NESTING = 32
EXTERNAL = 'external data'

# ModelProto
_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET, _METADATA, _FUNCTION = (
    1,
    2,
    3,
    7,
    8,
    14,
    25,
)
# The fields in which another message of interest is nested: kind -> field number -> kind.
_NESTED = {
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {
        5: 'tensor',
        6: 'graph',
        10: 'tensor',
        11: 'graph',
        22: 'sparse',
        23: 'sparse',
    },
    'sparse': {1: 'tensor', 2: 'tensor'},
    'function': {7: 'node', 11: 'attribute'},
}
_TENSOR_EXTERNAL_DATA = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """What an ONNX file says of itself.

    Attributes:
        path: Resolved path; of a model whose external data lie beside a link to it, that link.
        size: Bytes, external data included.
        sha256: Hex digest of the file; with external data, of the digests of all files.
        ir_version: Version of the file format.
        opsets: Operator set domain -> version; the standard domain is `ai.onnx`.
        producer: Program and version that wrote it.
        metadata: Metadata properties.
        external_data: Names of the files beside it that hold weights.
        read: Real path -> inode, size and time of change of every file, as it was hashed.
    """

    path: Path
    size: int
    sha256: str
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    metadata: Mapping[str, str]
    external_data: tuple[str, ...] = ()
    read: Mapping[Path, tuple[int, int, int]] = field(default_factory=dict)

    def refuse_changed(self) -> None:
        """Refuse a model that was replaced after it was hashed.

        Raises:
            ModelFileError: the hash names the weights on every message; it must be the hash of
                what was loaded.
        """
        try:
            now = _identities(self.path, self.external_data)
        except OSError:
            now = {}
        changed = sorted(
            str(each) for each in {*now, *self.read} if now.get(each) != self.read.get(each)
        )
        if changed:
            raise ModelFileError(
                f'{", ".join(changed)}: the file changed while it was loaded; wait for the copy '
                'to finish and load it again'
            )


@dataclass(slots=True)
class _Found:
    ir_version: int = 0
    has_graph: bool = False
    producer: list[str] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    external: dict[str, None] = field(default_factory=dict)


def read_onnx_file(path: Path, *, digest: bool = True) -> OnnxFile:
    """Read what an ONNX file says of itself, and refuse external data outside its directory.

    Args:
        path: The file.
        digest: Whether to read all of it, for `sha256` and `size`; without, only what it says.

    Raises:
        ModelFileError: unreadable, empty, not ONNX, truncated, or with external data that is not a
            plain file beside the model.
    """
    real = path.resolve()
    try:
        with real.open('rb') as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ModelFileError(f'{real}: the file is empty; copy or export the model again')
            found = _scan(real, Window(file), size)
        external = tuple(sorted(found.external))
        place = _place_of(path, real, external)
        read, sha256 = {}, ''
        if digest:
            read = _identities(place, external)
            sha256, size = _digest(place, external)
    except OSError as error:
        raise ModelFileError(f'{real}: cannot be read: {error.strerror or error}') from None
    return OnnxFile(
        path=place,
        size=size,
        sha256=sha256,
        ir_version=found.ir_version,
        opsets=MappingProxyType(found.opsets),
        producer=' '.join(found.producer).strip(),
        metadata=MappingProxyType(found.metadata),
        external_data=external,
        read=MappingProxyType(read),
    )


def spans_without(file: BinaryIO, key: str) -> list[tuple[int, int]]:
    """Return the (start, end) offsets of everything but the metadata property `key`."""
    data = Window(file)
    spans: list[tuple[int, int]] = []
    start = 0
    for each in read_fields(data, 0, file.seek(0, os.SEEK_END)):
        kept = each.number != _METADATA or each.wire is not Wire.BYTES
        if kept or _entry(data, each)[0] != key:
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], each.end)
            else:
                spans.append((start, each.end))
        start = each.end
    return spans


def metadata_field(key: str, value: str) -> bytes:
    """Return the bytes that, appended to an ONNX file, add one metadata property."""
    return write_bytes(_METADATA, write_bytes(1, key.encode()) + write_bytes(2, value.encode()))


def _scan(path: Path, data: Window, size: int) -> _Found:
    found = _Found()
    try:
        for each in read_fields(data, 0, size):
            _read_model_field(found, data, each)
    except (WireError, UnicodeDecodeError) as error:
        if found.ir_version:
            raise ModelFileError(
                f'{path}: the ONNX file is truncated or damaged ({error}; size {size} bytes); '
                'copy or export it again'
            ) from None
        raise _not_onnx(path, data) from None
    if not found.ir_version or not found.has_graph:
        raise _not_onnx(path, data)
    return found


def _not_onnx(path: Path, data: Window) -> ModelFileError:
    head = data.read(0, 16)
    if head.startswith(b'../../blobs/'):
        return ModelFileError(
            f'{path}: this file holds the text of a link into the Hugging Face cache; copy the '
            'model with a tool that follows links (cp -L, rsync -L), or download it again'
        )
    return ModelFileError(
        f'{path}: expected an ONNX model, got a file that begins with {head!r}; '
        'export the policy to ONNX first (bc export)'
    )


def _read_model_field(found: _Found, data: Window, each: Field) -> None:
    if each.number == _IR_VERSION and each.wire is Wire.VARINT:
        found.ir_version = each.value
    elif each.wire is not Wire.BYTES:
        return
    elif each.number == _GRAPH:
        found.has_graph = True
        _find_external(found, data, each, 'graph', 0)
    elif each.number == _FUNCTION:
        _find_external(found, data, each, 'function', 0)
    elif each.number in (_PRODUCER, _PRODUCER_VERSION):
        found.producer.append(_text(data, each))
    elif each.number == _OPSET:
        domain, version = '', 0
        for part in read_fields(data, each.start, each.end):
            if part.number == 1 and part.wire is Wire.BYTES:
                domain = _text(data, part)
            elif part.number == 2:
                version = part.value
        found.opsets[domain or 'ai.onnx'] = version
    elif each.number == _METADATA:
        key, value = _entry(data, each)
        found.metadata[key] = value


def _find_external(found: _Found, data: Window, outer: Field, kind: str, depth: int) -> None:
    if depth > MAX_NESTING:
        raise WireError(f'graphs nested deeper than {MAX_NESTING} messages')
    nested = _NESTED.get(kind)
    for each in read_fields(data, outer.start, outer.end):
        if each.wire is not Wire.BYTES:
            continue
        if nested is None:
            if each.number == _TENSOR_EXTERNAL_DATA:
                key, value = _entry(data, each)
                if key == 'location':
                    found.external[value] = None
        elif each.number in nested:
            _find_external(found, data, each, nested[each.number], depth + 1)


def _entry(data: Window, each: Field) -> tuple[str, str]:
    key, value = '', ''
    for part in read_fields(data, each.start, each.end):
        if part.number == 1 and part.wire is Wire.BYTES:
            key = _text(data, part)
        elif part.number == 2 and part.wire is Wire.BYTES:
            value = _text(data, part)
    return key, value


def _text(data: Window, each: Field) -> str:
    if each.end - each.start > MAX_METADATA_BYTES:
        raise WireError(f'text of {each.end - each.start} bytes at byte {each.start}')
    return data.read(each.start, each.end).decode('utf-8')


def _place_of(path: Path, real: Path, external: tuple[str, ...]) -> Path:
    """Return the path beside which the external data lie: the file's own, or that of a link."""
    link = path.parent.resolve() / path.name
    here = all((real.parent / Path(name).name).exists() for name in external)
    there = all((link.parent / Path(name).name).exists() for name in external)
    return link if there and not here else real


def _identities(path: Path, external: tuple[str, ...]) -> dict[Path, tuple[int, int, int]]:
    """Return what tells a file from its successor, by real path, of every file of a model."""
    files = [path.resolve(), *(file_beside(path, name, EXTERNAL) for name in external)]
    found = {}
    for file in files:
        status = file.stat()
        found[file] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _digest(path: Path, external: tuple[str, ...]) -> tuple[str, int]:
    """Return the sha256 that stands for all files of a model, and their size."""
    with path.open('rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    size = path.stat().st_size
    if not external:
        return digest, size
    total = hashlib.sha256(digest.encode())
    for name in external:
        beside = file_beside(path, name, EXTERNAL)
        with beside.open('rb') as file:
            total.update(name.encode())
            total.update(hashlib.file_digest(file, 'sha256').digest())
        size += beside.stat().st_size
    return total.hexdigest(), size
