# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The message that says which policy is active."""

from __future__ import annotations

import os

from builtin_interfaces.msg import Time

from bc_msgs import msg as bc_msg
from bc_runtime.deployment import RESTARTS_VARIABLE
from bc_runtime.policy import SlotState, SlotStatus

#: Who swaps tells READY for IDLE: a policy that waits for the next inference is not active yet.
_STATES = {
    SlotState.LOADING: bc_msg.PolicyInfo.STATE_LOADING,
    SlotState.IDLE: bc_msg.PolicyInfo.STATE_READY,
    SlotState.FAILED: bc_msg.PolicyInfo.STATE_FAILED,
    SlotState.BROKEN: bc_msg.PolicyInfo.STATE_BROKEN,
}


def policy_info(status: SlotStatus, *, now: Time) -> bc_msg.PolicyInfo | None:
    """Return what is to be told of a change of a slot; None if nothing is."""
    state = _STATES.get(status.state)
    if state is None:
        return None
    msg = bc_msg.PolicyInfo(
        state=state, message=status.reason or status.remark, requested=status.requested
    )
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
        msg.load_time = active.load_s
        msg.warmup_inference = active.warmup_s
        msg.self_test_error = active.self_test_error
    return msg
