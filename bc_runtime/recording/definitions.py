# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Message definitions for bags, found in the installed packages without importing them.

A bag is readable without ROS because it carries the text of every message type: the `.msg` file
followed by those of all nested types (the `ros2msg` schema encoding of the MCAP registry,
https://mcap.dev/spec/registry#ros2msg, in the order rosbag2 writes them). A type that has no
`.msg` file (defined in IDL) is stored as concatenated `.idl` files (`ros2idl`).

The RIHS01 hash (REP 2016) of a type stands in `share/<package>/msg/<Type>.json`, which rosidl
installs beside the definition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
import sys

from bc_runtime.recording.errors import DefinitionNotFound
from bc_runtime.spec.errors import RecordingError

#: Line between two definitions of one text.
SEPARATOR = '=' * 80
_PRIMITIVES = frozenset(
    'bool byte char float32 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 string '
    'wstring'.split()
)
_TYPE = re.compile(r'^(?P<package>\w+)/(?:(?P<kind>msg|srv|action)/)?(?P<name>\w+)$')
_MSG_FIELD = re.compile(r'^\s*(?P<type>[A-Za-z][\w/]*)(?:\[[^\]]*\])?\s+\w', re.MULTILINE)
_IDL_INCLUDE = re.compile(r'^\s*#include\s+["<](?P<type>[\w/]+)\.idl[">]', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDefinition:
    """What a bag needs to know about a message type.

    Attributes:
        type: Full name, e.g. `sensor_msgs/msg/Image`.
        encoding: `ros2msg` or `ros2idl`.
        text: Definition with those of all nested types.
        type_hash: RIHS01 hash of the type, or empty if the package installs none.
    """

    type: str
    encoding: str
    text: str
    type_hash: str


class DefinitionLibrary:
    """Finds definitions in the prefixes of a ROS environment and remembers them."""

    def __init__(self, prefixes: Iterable[str | os.PathLike[str]] | None = None) -> None:
        """Look in these prefixes, by default those of `AMENT_PREFIX_PATH`.

        The prefix of the running Python comes last: with the ROS wheels from PyPI it is the
        underlay, also where nobody has sourced anything.
        """
        if prefixes is None:
            paths = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
            prefixes = [*paths, sys.prefix]
        self._prefixes = tuple(dict.fromkeys(Path(prefix) for prefix in prefixes))
        self._found: dict[str, MessageDefinition] = {}

    def get(self, type_name: str) -> MessageDefinition:
        """Return the definition of a type such as `sensor_msgs/msg/Image`.

        Raises:
            DefinitionNotFound: No prefix holds the type or one that it nests.
            RecordingError: The name is not one of a message type.
        """
        full_name = _normalise(type_name)
        if full_name not in self._found:
            self._found[full_name] = self._load(full_name)
        return self._found[full_name]

    def _load(self, type_name: str) -> MessageDefinition:
        try:
            encoding, text = 'ros2msg', self._collect(type_name, '.msg')
        except DefinitionNotFound:
            if self._find(type_name, '.idl') is None:
                raise
            # rosbag2 starts IDL text, unlike .msg text, with the delimiter of the root type.
            head = f'{SEPARATOR}\nIDL: {type_name}\n'
            encoding, text = 'ros2idl', head + self._collect(type_name, '.idl')
        return MessageDefinition(
            type=type_name, encoding=encoding, text=text, type_hash=self._type_hash(type_name)
        )

    def _collect(self, root: str, suffix: str) -> str:
        """Join a definition and, depth first and each once, those that it nests."""
        seen: set[str] = set()

        def collect(type_name: str) -> str:
            text = self._read(type_name, suffix)
            package = type_name.partition('/')[0]
            parts = [text]
            for nested in sorted(_nested_types(text, suffix, package)):
                if _normalise(nested) in seen:
                    continue
                seen.add(_normalise(nested))
                label = 'MSG' if suffix == '.msg' else 'IDL'
                parts.append(f'\n{SEPARATOR}\n{label}: {nested}\n{collect(_normalise(nested))}')
            return ''.join(parts)

        return collect(root)

    def _read(self, type_name: str, suffix: str) -> str:
        path = self._find(type_name, suffix)
        if path is None:
            package, _, name = type_name.partition('/msg/')
            searched = ', '.join(str(prefix) for prefix in self._prefixes)
            raise DefinitionNotFound(
                f'no definition of {type_name}: share/{package}/msg/{name}{suffix} is in none of '
                f'{searched}. Build or install {package} and source its setup file '
                '(it adds to AMENT_PREFIX_PATH)'
            )
        return path.read_text(encoding='utf-8')

    def _find(self, type_name: str, suffix: str) -> Path | None:
        for prefix in self._prefixes:
            path = prefix / 'share' / f'{type_name}{suffix}'
            if path.is_file():
                return path
        return None

    def _type_hash(self, type_name: str) -> str:
        path = self._find(type_name, '.json')
        if path is None:
            return ''
        for entry in json.loads(path.read_text(encoding='utf-8')).get('type_hashes', ()):
            if entry.get('type_name') == type_name:
                return str(entry['hash_string'])
        return ''


def _normalise(type_name: str) -> str:
    match = _TYPE.match(type_name)
    if match is None or match['kind'] in {'srv', 'action'}:
        raise RecordingError(
            f'{type_name!r} is not a message type; expected a name such as sensor_msgs/msg/Image'
        )
    return f'{match["package"]}/msg/{match["name"]}'


def _nested_types(text: str, suffix: str, package: str) -> set[str]:
    """Return nested type names as written, a bare name completed with its own package."""
    if suffix == '.idl':
        return {match['type'] for match in _IDL_INCLUDE.finditer(text)}
    names = {match['type'] for match in _MSG_FIELD.finditer(text)} - _PRIMITIVES
    return {name if '/' in name else f'{package}/{name}' for name in names}
