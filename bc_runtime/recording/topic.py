# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A topic of a bag."""

from __future__ import annotations

from dataclasses import dataclass

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.qos import QosProfile

#: Message types that hold a camera picture.
IMAGE_TYPES = ('sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/Image')


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTopic:
    """A topic to record, with all that makes its bytes readable later.

    Attributes:
        name: Absolute topic name, e.g. `/joint_states`.
        definition: Type, definition text and type hash.
        qos: Profiles offered by the publishers seen.
    """

    name: str
    definition: MessageDefinition
    qos: tuple[QosProfile, ...] = ()

    @property
    def type(self) -> str:
        """Full type name, e.g. `sensor_msgs/msg/JointState`."""
        return self.definition.type
