# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Safety: whatever comes in, what goes out can be followed and can be stopped from.

The way of a command, each tick:

    set-point -> Limiter.step -> Checker.check -> (braking_tail ->) driver

A command that the checker refuses is never sent: `Limiter.rollback`, `Limiter.brake`, FAULT.
No claim of functional safety: emergency stops and the safety of people belong to hardware
(docs/explanation/safety.md says what is guaranteed, and by which test).
"""

from bc_runtime.safety.braking_tail import BrakingTail, braking_tail
from bc_runtime.safety.checker import CheckCode, Checker, CheckResult
from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limiter_step import LimiterStep, LimitFlag
from bc_runtime.safety.limits import JointLimits, align_limits, limits_of, to_output
from bc_runtime.safety.stopping import braking_travel, safe_speed

__all__ = [
    'JointLimits', 'limits_of', 'align_limits', 'to_output',
    'Limiter', 'LimiterStep', 'LimitFlag', 'braking_travel', 'safe_speed',
    'BrakingTail', 'braking_tail',
    'Checker', 'CheckCode', 'CheckResult',
]  # fmt: skip
