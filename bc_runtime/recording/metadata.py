# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`metadata.yaml` of a rosbag2 directory, version 9 (Jazzy and newer).

Field names and layout follow rosbag2_storage's yaml.hpp. The same mapping, as YAML text, is also
kept inside the MCAP file as metadata record `rosbag2`, key `serialized_metadata`, where it
survives the loss of the side file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import Any

import yaml

from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.qos import QosProfile, read_profiles

FILE_NAME = 'metadata.yaml'
VERSION = 9
_ROOT = 'rosbag2_bagfile_information'


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicMetadata:
    """A topic as metadata.yaml lists it."""

    name: str
    type: str
    type_hash: str = ''
    qos: tuple[QosProfile, ...] = ()
    message_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BagMetadata:
    """What metadata.yaml says about a bag.

    Attributes:
        files: Names of the storage files inside the bag directory.
        start_ns: Log time of the first message, 0 for an empty bag [ns].
        duration_ns: Log time of the last message minus `start_ns` [ns].
        custom_data: Free `key: value` pairs; ours are the episode's labels.
    """

    files: tuple[str, ...]
    start_ns: int = 0
    duration_ns: int = 0
    topics: tuple[TopicMetadata, ...] = ()
    custom_data: Mapping[str, str] = field(default_factory=dict)
    ros_distro: str = ''
    storage: str = 'mcap'
    version: int = VERSION

    @property
    def message_count(self) -> int:
        """Messages in all topics."""
        return sum(topic.message_count for topic in self.topics)

    def to_mapping(self) -> dict[str, Any]:
        """Return the mapping below the root key, in version 9."""
        span = {
            'duration': {'nanoseconds': self.duration_ns},
            'starting_time': {'nanoseconds_since_epoch': self.start_ns},
            'message_count': self.message_count,
        }
        return {
            'version': VERSION,
            'storage_identifier': self.storage,
            **span,
            'topics_with_message_count': [
                {
                    'topic_metadata': {
                        'name': topic.name,
                        'type': topic.type,
                        'serialization_format': 'cdr',
                        'offered_qos_profiles': [qos.to_mapping() for qos in topic.qos],
                        'type_description_hash': topic.type_hash,
                    },
                    'message_count': topic.message_count,
                }
                for topic in self.topics
            ],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': list(self.files),
            # One storage file per bag, so its span is the bag's.
            'files': [{'path': name, **span} for name in self.files],
            'custom_data': dict(self.custom_data),
            'ros_distro': self.ros_distro,
        }

    def to_yaml(self) -> str:
        """Return the text of metadata.yaml."""
        return _dump({_ROOT: self.to_mapping()})

    def to_record(self) -> dict[str, str]:
        """Return the entries of the MCAP metadata record `rosbag2`."""
        return {'serialized_metadata': _dump(self.to_mapping())}


def parse_metadata(mapping: Mapping[str, Any], *, source: str) -> BagMetadata:
    """Read the mapping below the root key, of any version up to 9.

    Raises:
        BagDamaged: A key is missing or of a wrong type.
    """
    try:
        return BagMetadata(
            version=int(mapping['version']),
            storage=str(mapping['storage_identifier']),
            files=tuple(str(path) for path in mapping['relative_file_paths']),
            start_ns=int(mapping['starting_time']['nanoseconds_since_epoch']),
            duration_ns=int(mapping['duration']['nanoseconds']),
            topics=tuple(
                TopicMetadata(
                    name=str(entry['topic_metadata']['name']),
                    type=str(entry['topic_metadata']['type']),
                    type_hash=str(entry['topic_metadata'].get('type_description_hash', '')),
                    qos=read_profiles(entry['topic_metadata'].get('offered_qos_profiles')),
                    message_count=int(entry['message_count']),
                )
                for entry in mapping['topics_with_message_count']
            ),
            custom_data={str(k): str(v) for k, v in (mapping.get('custom_data') or {}).items()},
            ros_distro=str(mapping.get('ros_distro', '')),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BagDamaged(
            f'{source} is not rosbag2 metadata (version 1 to {VERSION}): {error!r}'
        ) from error


def parse_record(serialized: str, *, source: str) -> BagMetadata:
    """Read the text of the MCAP metadata record `rosbag2`."""
    return parse_metadata(_load(serialized, source=source), source=source)


def read_metadata(bag: Path) -> BagMetadata:
    """Read `<bag>/metadata.yaml`."""
    path = bag / FILE_NAME
    document = _load(path.read_text(encoding='utf-8'), source=str(path))
    return parse_metadata(document.get(_ROOT) or {}, source=str(path))


def write_metadata(bag: Path, text: str) -> None:
    """Replace `<bag>/metadata.yaml` in one step, so that a reader never sees half of it."""
    temporary = bag / f'.{FILE_NAME}.tmp'
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, bag / FILE_NAME)


def replace_custom_data(bag: Path, custom_data: Mapping[str, str]) -> None:
    """Set the custom_data of a finished bag and leave all else in the file as it is."""
    path = bag / FILE_NAME
    document = _load(path.read_text(encoding='utf-8'), source=str(path))
    information = document.get(_ROOT) or {}
    version = information.get('version', 0)
    if version < 6:
        raise BagDamaged(
            f'{path} is of version {version}, which cannot hold labels (version 6 is the first); '
            'convert the bag with `ros2 bag convert` of ROS 2 Iron or newer'
        )
    information['custom_data'] = dict(custom_data)
    write_metadata(bag, _dump(document))


def _load(text: str, *, source: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BagDamaged(f'{source} is not YAML: {error}') from error
    if not isinstance(document, dict):
        raise BagDamaged(f'{source} holds {type(document).__name__}; expected a mapping')
    return document


class _Dumper(yaml.SafeDumper):
    """Writes equal sub-mappings out instead of as YAML anchors, as rosbag2 does."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(document: Mapping[str, Any]) -> str:
    return str(
        yaml.dump(
            dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000
        )
    )
