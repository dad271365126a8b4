# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Messages with arrays as msgpack, byte for byte as openpi's `msgpack_numpy` writes them.

An array is a map with the binary keys `__ndarray__`, `data` (C order), `dtype` (as '<f4') and
`shape`; a NumPy scalar is one with `__npgeneric__`, `data` and `dtype`. Only plain numbers pass:
object, void and complex types are refused in both directions.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.errors import BackendUnavailable
from bc_runtime.spec.errors import PolicyError

_REFUSED_KINDS = 'VOc'
#: Largest message that is read: a thousand actions of a hundred numbers are 0.8 MB.
MAX_MESSAGE_BYTES = 8_000_000


class WireFormatError(PolicyError):
    """Bytes that are no message of this protocol, or a value that has no form in it."""


def import_remote_packages() -> tuple[Any, Any]:
    """Return the modules msgpack and websockets.sync.client.

    Raises:
        BackendUnavailable: one is not installed.
    """
    try:
        return importlib.import_module('msgpack'), importlib.import_module(
            'websockets.sync.client'
        )
    except ImportError as error:
        raise BackendUnavailable(
            f'remote policies need the packages msgpack and websockets: {error}. Install them: '
            'pip install -r requirements/remote.txt, or the extra bc_runtime[remote]'
        ) from None


def pack(message: object) -> bytes:
    """Return the bytes of a message of maps, lists, texts, numbers and arrays.

    Raises:
        WireFormatError: a value has no form in the protocol.
    """
    msgpack, _ = import_remote_packages()
    try:
        return bytes(msgpack.packb(message, default=_encode))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireFormatError(f'the message cannot be packed: {error}') from None


def unpack(data: bytes) -> Any:
    """Return the message of some bytes; arrays are read-only.

    Raises:
        WireFormatError: the bytes are no msgpack, or hold an array that is not well-formed.
    """
    msgpack, _ = import_remote_packages()
    try:
        return msgpack.unpackb(data, object_hook=_decode, strict_map_key=False)
    except WireFormatError:
        raise
    # msgpack raises its own errors, ValueError, and others for nesting and lengths.
    except Exception as error:  # noqa: BLE001
        raise WireFormatError(
            f'expected a msgpack message, got {len(data)} bytes that begin with {data[:16]!r} '
            f'({type(error).__name__}: {error})'
        ) from None


def _encode(value: object) -> object:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in _REFUSED_KINDS:
        raise WireFormatError(f'arrays of type {value.dtype} cannot be sent')
    if isinstance(value, np.ndarray):
        return {
            b'__ndarray__': True,
            b'data': value.tobytes(),
            b'dtype': value.dtype.str,
            b'shape': value.shape,
        }
    if isinstance(value, np.generic):
        return {b'__npgeneric__': True, b'data': value.item(), b'dtype': value.dtype.str}
    raise TypeError(f'{type(value).__name__} has no form in the protocol')


def _decode(value: dict[Any, Any]) -> object:
    if b'__ndarray__' in value:
        return _array(value)
    if b'__npgeneric__' in value:
        dtype = _dtype(value.get(b'dtype'))
        try:
            return dtype.type(value[b'data'])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WireFormatError(f'a number of type {dtype} is malformed: {error}') from None
    return value


def _array(value: dict[Any, Any]) -> NDArray[Any]:
    dtype, shape, data = _dtype(value.get(b'dtype')), value.get(b'shape'), value.get(b'data')
    plain = isinstance(shape, list) and all(type(dim) is int and dim >= 0 for dim in shape)
    if not plain or not isinstance(data, bytes):
        raise WireFormatError(f'an array is malformed: shape {shape!r}, data {type(data)}')
    dims = tuple(shape or ())
    if math.prod(dims) * dtype.itemsize != len(data):
        raise WireFormatError(
            f'an array of shape {list(dims)} and type {dtype} needs '
            f'{math.prod(dims) * dtype.itemsize} bytes, got {len(data)}'
        )
    return np.frombuffer(data, dtype=dtype).reshape(dims)


def _dtype(name: object) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name if isinstance(name, str) else '')
    except TypeError:
        raise WireFormatError(f'expected the name of a number type, got {name!r}') from None
    if not isinstance(name, str) or dtype.kind in _REFUSED_KINDS:
        raise WireFormatError(f'arrays of type {name!r} are not accepted')
    return dtype
