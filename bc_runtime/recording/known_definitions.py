# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Definitions for bags that hold none: SQLite bags of Humble and older.

They come from the standard messages of the distribution that wrote the bag, as `rosbags` carries
them, else from the packages that are installed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from rosbags.typesys import Stores, TypesysError, get_typestore
from rosbags.typesys.store import Typestore

from bc_runtime.recording.definitions import DefinitionLibrary, MessageDefinition
from bc_runtime.recording.errors import DefinitionNotFound
from bc_runtime.spec.errors import RecordingError


def find_definition(
    type_name: str, *, ros_distro: str = '', type_hash: str = ''
) -> MessageDefinition:
    """Return the definition of a message type that a bag does not define.

    Args:
        type_name: Full name, e.g. `sensor_msgs/msg/Image`.
        ros_distro: Distribution that wrote the bag; empty if unknown.
        type_hash: RIHS01 hash that the bag names; a definition with another one is not taken.

    Raises:
        DefinitionNotFound: Nobody has the definition.
    """
    refused = ''
    for definition in _candidates(type_name, ros_distro):
        if not type_hash or not definition.type_hash or definition.type_hash == type_hash:
            return definition
        refused = ' What is installed here under this name is another version of it.'
    raise DefinitionNotFound(
        f'the bag holds no definition of {type_name}.{refused} Install or build the package '
        f'{type_name.partition("/")[0]} as it was when the bag was recorded, source its setup '
        'file, and read the bag again'
    )


def _candidates(type_name: str, ros_distro: str) -> Iterator[MessageDefinition]:
    if ros_distro and (definition := _standard(type_name, ros_distro)):
        yield definition
    with suppress(RecordingError):
        yield DefinitionLibrary().get(type_name)
    # Without a name: Humble is the newest distribution whose bags lack definitions.
    for distro in ('humble', 'latest'):
        if definition := _standard(type_name, distro):
            yield definition


def _standard(type_name: str, distro: str) -> MessageDefinition | None:
    store = _store(distro.lower())
    if store is None or type_name not in store.fielddefs:
        return None
    text, _ = store.generate_msgdef(type_name, ros_version=2)
    return MessageDefinition(
        type=type_name, encoding='ros2msg', text=text, type_hash=store.hash_rihs01(type_name)
    )


@cache
def _store(distro: str) -> Typestore | None:
    for name in (f'ros2_{distro}', distro):
        try:
            return get_typestore(Stores(name))
        except (ValueError, TypesysError):
            continue
    return None
