# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Turn CDR bytes into message objects with the definitions that a bag carries."""

from __future__ import annotations

import re
from typing import Any

from rosbags.interfaces.typing import Typesdict
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

from bc_runtime.recording.definitions import SEPARATOR
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.spec.errors import RecordingError, available


class MessageDecoder:
    """Decodes messages without any ROS installation.

    Messages become objects with the fields of their definition: nested messages as attributes,
    numeric arrays as NumPy arrays, text as `str`.
    """

    def __init__(self) -> None:
        self._store = Typestore()

    def add(self, *, type_name: str, encoding: str, text: str) -> None:
        """Learn a type and those it nests.

        Args:
            type_name: Full name, e.g. `sensor_msgs/msg/Image`.
            encoding: `ros2msg` or `ros2idl`.
            text: Definition as the bag holds it.

        Raises:
            BagDamaged: The text is no definition.
        """
        try:
            types = (
                _parse_idl(text) if encoding == 'ros2idl' else get_types_from_msg(text, type_name)
            )
        except TypesysError as error:
            raise BagDamaged(f'the definition of {type_name} cannot be read: {error}') from error
        # A nested type comes again with each type that nests it.
        self._store.register({n: d for n, d in types.items() if n not in self._store.fielddefs})

    def decode(self, type_name: str, data: bytes | memoryview) -> Any:
        """Return the message.

        Raises:
            RecordingError: The type was not added.
            BagDamaged: The bytes do not fit the definition.
        """
        if type_name not in self._store.fielddefs:
            raise RecordingError(
                f'no definition of {type_name}; known are: {available(self._store.fielddefs)}'
            )
        try:
            return self._store.deserialize_cdr(data, type_name)
        except (SerdeError, IndexError) as error:
            raise BagDamaged(f'a {type_name} does not fit its definition: {error}') from error


def _parse_idl(text: str) -> Typesdict:
    """Parse concatenated IDL files, each under its delimiter and title line."""
    types: Typesdict = {}
    for part in text.split(f'{SEPARATOR}\n'):
        body = part.partition('\n')[2] if part.startswith('IDL: ') else part
        body = re.sub(r'(?m)^\s*#.*$', '', body)  # rosbags' grammar knows no preprocessor
        if body.strip():
            types.update(get_types_from_idl(body))
    return types
