# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Messages for bags, made without ROS."""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.qos import QosProfile
from bc_runtime.recording.topic import RecordedTopic

sys.path.insert(0, str(Path(__file__).parent))  # for `samples`

JOINTS = ('joint_1', 'joint_2', 'gripper')


class RosTypes:
    """Definitions and CDR bytes of standard messages, by an implementation that is not ours."""

    def __init__(self):
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def topic(self, name, type_name, qos=()):
        text, _ = self.store.generate_msgdef(type_name, ros_version=2)
        definition = MessageDefinition(
            type=type_name,
            encoding='ros2msg',
            text=text,
            type_hash=self.store.hash_rihs01(type_name),
        )
        return RecordedTopic(name=name, definition=definition, qos=tuple(qos) or (QosProfile(),))

    def string(self, text):
        return self._cdr('std_msgs/msg/String', data=text)

    def joint_state(self, stamp_ns, positions):
        sec, nanosec = divmod(stamp_ns, 1_000_000_000)
        types = self.store.types
        return self._cdr(
            'sensor_msgs/msg/JointState',
            header=types['std_msgs/msg/Header'](
                stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
                frame_id='',
            ),
            name=list(JOINTS),
            position=np.asarray(positions, dtype=np.float64),
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )

    def _cdr(self, type_name, **fields):
        message = self.store.types[type_name](**fields)
        return bytes(self.store.serialize_cdr(message, type_name))


@pytest.fixture(scope='session')
def ros_types():
    return RosTypes()


@pytest.fixture
def topics(ros_types):
    latched = QosProfile(durability='transient_local', history='keep_last', depth=1)
    best_effort = QosProfile(reliability='best_effort')
    return [
        ros_types.topic('/joint_states', 'sensor_msgs/msg/JointState', [best_effort]),
        ros_types.topic('/instruction', 'std_msgs/msg/String', [latched]),
    ]


@pytest.fixture
def labels():
    return EpisodeLabels(
        id='episode_7', instruction='put the red cube in the tray', policy_id='ab12', seed=7
    )
