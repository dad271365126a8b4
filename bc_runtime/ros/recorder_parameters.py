# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the recorder node."""

from __future__ import annotations

from bc_runtime.ros.parameters import Parameter

PARAMETERS = (
    Parameter(
        name='topics',
        default=[''],
        description="Topics to record, each 'name' or 'name:package/msg/Type'",
        read_only=True,
    ),
    Parameter(
        name='directory', default='episodes', description='Folder that the bags are written to'
    ),
    Parameter(
        name='instruction_topic',
        default='instruction',
        description='std_msgs/String that names the task if start_episode does not',
        read_only=True,
    ),
    Parameter(
        name='queue_mb',
        default=64,
        description='Messages that may wait for the disk [MB]; more are dropped and counted',
        minimum=1,
        maximum=4096,
    ),
    Parameter(
        name='disk_warn_gb',
        default=10.0,
        description='Free space below which to warn [GB]',
        minimum=0.0,
        maximum=1e6,
    ),
    Parameter(
        name='disk_stop_gb',
        default=2.0,
        description='Free space below which recording stops and the bag is closed [GB]',
        minimum=0.0,
        maximum=1e6,
    ),
)
