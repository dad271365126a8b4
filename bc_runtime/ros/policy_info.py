# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The message that says which policy is in charge."""

from __future__ import annotations

import os

from bc_msgs import msg as bc_msg
from bc_runtime.deployment import RESTARTS_VARIABLE
from bc_runtime.policy.slot import SlotStatus
from bc_runtime.ros import convert


def policy_info(
    status: SlotStatus, state: int, *, message: str, now: convert.Time, load_s: float
) -> bc_msg.PolicyInfo:
    """Return what is to be told of a slot; `load_s` is how long the loading took [s]."""
    msg = bc_msg.PolicyInfo(state=state, message=message, requested=status.requested)
    msg.header.stamp = now
    msg.pid = os.getpid()
    msg.restarts = int(os.environ.get(RESTARTS_VARIABLE) or 0)
    active = status.active
    if active is not None:
        msg.policy_id = active.policy_id
        msg.name = active.spec.name
        msg.version = active.spec.version
        msg.family = active.spec.family
        msg.path = active.path
        msg.spec_json = active.spec.to_json()
        msg.backend = active.backend
        msg.provider = active.provider
        msg.load_time = load_s
        msg.warmup_inference = active.warmup_s
        msg.self_test_error = active.self_test_error
    return msg
