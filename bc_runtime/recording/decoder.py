# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Turn CDR bytes into message objects with the definitions that a bag carries."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
import re
import struct
from typing import Any

from rosbags.interfaces.typing import Typesdict
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

from bc_runtime.recording.definitions import SEPARATOR, MessageDefinition
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.spec.errors import RecordingError, available

#: What a type is called. The name becomes part of code that rosbags generates.
_TYPE_NAME = re.compile(r'[A-Za-z]\w*(/(msg|srv|action))?/[A-Za-z]\w*', re.ASCII)
#: What bytes that are no message of the type can make of the generated code.
_UNFIT = (SerdeError, IndexError, ValueError, AssertionError, OverflowError, struct.error)


class MessageDecoder:
    """Decodes messages without any ROS installation.

    Messages become objects with the fields of their definition: nested messages as attributes,
    numeric arrays as NumPy arrays, text as `str`.
    """

    def __init__(self, find: Callable[[str], MessageDefinition] | None = None) -> None:
        """Begin without any type.

        Args:
            find: Returns the definition of a type when its first message is decoded, or raises
                RecordingError. Without it all types must be added.
        """
        self._stores: dict[str, Typestore] = {}
        self._find = find

    def add(self, *, type_name: str, encoding: str, text: str) -> None:
        """Learn a type with those it nests.

        Args:
            type_name: Full name, e.g. `sensor_msgs/msg/Image`.
            encoding: `ros2msg` or `ros2idl`.
            text: Definition as the bag holds it.

        Raises:
            BagDamaged: The text is no definition.
        """
        if not _TYPE_NAME.fullmatch(type_name):
            raise BagDamaged(f'{type_name!r} is no name of a message type')
        try:
            self._stores[type_name] = _store(type_name, encoding, text)
        except (TypesysError, ValueError, KeyError, SyntaxError) as error:
            raise BagDamaged(f'the definition of {type_name} cannot be read: {error}') from error

    def decode(self, type_name: str, data: bytes | memoryview) -> Any:
        """Return the message.

        Raises:
            RecordingError: The type is not known.
            BagDamaged: The bytes do not fit the definition.
        """
        if type_name not in self._stores:
            if self._find is None:
                raise RecordingError(
                    f'no definition of {type_name}; known are: {available(self._stores)}'
                )
            found = self._find(type_name)
            self.add(type_name=type_name, encoding=found.encoding, text=found.text)
        try:
            return self._stores[type_name].deserialize_cdr(data, type_name)
        except _UNFIT as error:
            raise BagDamaged(f'a {type_name} does not fit its definition: {error}') from error

    def type_hash(self, type_name: str) -> str:
        """Return the RIHS01 hash of a type that was added."""
        return str(self._stores[type_name].hash_rihs01(type_name))


@lru_cache(maxsize=256)
def _store(type_name: str, encoding: str, text: str) -> Typestore:
    """Return a type with those it nests; bags of one recorder share them."""
    store = Typestore()
    store.register(
        _parse_idl(text) if encoding == 'ros2idl' else get_types_from_msg(text, type_name)
    )
    if type_name not in store.fielddefs:
        raise ValueError('it defines another type')
    return store


def _parse_idl(text: str) -> Typesdict:
    """Parse concatenated IDL files, each under its delimiter and title line."""
    types: Typesdict = {}
    for part in text.split(f'{SEPARATOR}\n'):
        body = part.partition('\n')[2] if part.startswith('IDL: ') else part
        body = re.sub(r'(?m)^\s*#.*$', '', body)  # rosbags' grammar knows no preprocessor
        if body.strip():
            types.update(get_types_from_idl(body))
    return types
