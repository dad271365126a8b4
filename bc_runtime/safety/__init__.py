# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Safety: whatever comes in, what goes out can be followed and can be stopped from.

The way of a command, each tick:

    chunk -> ChunkIngress.check -> plan
    facts (watchdogs, monitors), events -> Supervisor.step -> source
    source's set-point -> Limiter.step -> Checker.check -> (braking_tail ->) driver

A command that the checker refuses is never sent: `Limiter.rollback`, `Limiter.brake`, and the flag
CHECKER_VIOLATION. No claim of functional safety: emergency stops and the safety of people belong
to hardware (docs/explanation/safety.md says what is guaranteed, and by which test).
"""

from bc_runtime.safety.align import Approach, Pace
from bc_runtime.safety.audit import AuditReport, audit_commands
from bc_runtime.safety.braking_tail import BrakingTail, braking_tail, follow_tail
from bc_runtime.safety.checker import CheckCode, Checker, CheckResult
from bc_runtime.safety.clocks import ClockSkew, ClockStep, StampWatchdog, StandingClock
from bc_runtime.safety.driver_points import driver_points
from bc_runtime.safety.fault_matrix import (
    FaultMeasurement,
    FaultRow,
    case_table,
    fault_table,
    read_fault_matrix,
    read_fault_results,
)
from bc_runtime.safety.flags import DEFAULT_RULES, Flag, FlagRule
from bc_runtime.safety.human import HumanTarget
from bc_runtime.safety.ingress import ChunkIngress
from bc_runtime.safety.ingress_types import (
    Check,
    ChunkLike,
    Finding,
    IngressConfig,
    IngressContext,
    IngressResult,
    OnFailure,
    Verdict,
)
from bc_runtime.safety.jerk import JerkLimiter, jerk_available
from bc_runtime.safety.limiter import Limiter
from bc_runtime.safety.limiter_step import LimiterStep, LimitFlag
from bc_runtime.safety.limits import JointLimits, align_limits, limits_of, to_output
from bc_runtime.safety.monitors import (
    FrozenJoints,
    OverspeedMonitor,
    TrackingMonitor,
    TrackingReport,
    TrainingRangeMonitor,
    not_farther_than,
    outside_limits,
    overspeed,
)
from bc_runtime.safety.restarts import RestartCount
from bc_runtime.safety.stall import StallMonitor
from bc_runtime.safety.states import Action, Clear, Event, Severity, Source, State
from bc_runtime.safety.stopping import braking_travel, safe_speed
from bc_runtime.safety.supervision import (
    Conditions,
    Memory,
    Reason,
    Reply,
    SupervisorConfig,
    SupervisorStep,
    Transition,
)
from bc_runtime.safety.supervisor import Supervisor, step
from bc_runtime.safety.watchdogs import (
    AgeWatchdog,
    Level,
    MissedTicks,
    TickWatchdog,
    camera_watchdog,
    joint_state_watchdog,
)

__all__ = [
    'JointLimits', 'limits_of', 'align_limits', 'to_output',
    'Limiter', 'LimiterStep', 'LimitFlag', 'braking_travel', 'safe_speed',
    'JerkLimiter', 'jerk_available', 'BrakingTail', 'braking_tail', 'driver_points', 'follow_tail',
    'Checker', 'CheckCode', 'CheckResult', 'audit_commands', 'AuditReport',
    'RestartCount', 'State', 'Source', 'Severity', 'Event', 'Action', 'Clear',
    'Flag', 'FlagRule', 'DEFAULT_RULES',
    'Conditions', 'SupervisorConfig', 'SupervisorStep', 'Memory', 'Reason', 'Reply', 'Transition',
    'Supervisor', 'step',
    'ChunkIngress', 'ChunkLike', 'Check', 'OnFailure', 'Verdict', 'Finding',
    'IngressConfig', 'IngressContext', 'IngressResult',
    'Approach', 'Pace', 'HumanTarget',
    'Level', 'AgeWatchdog', 'camera_watchdog', 'joint_state_watchdog', 'TickWatchdog',
    'MissedTicks', 'ClockStep', 'ClockSkew', 'StandingClock', 'StampWatchdog',
    'TrackingMonitor', 'TrackingReport', 'StallMonitor', 'FrozenJoints', 'TrainingRangeMonitor',
    'OverspeedMonitor', 'overspeed', 'outside_limits', 'not_farther_than',
    'FaultRow', 'FaultMeasurement', 'read_fault_matrix', 'read_fault_results', 'fault_table',
    'case_table',
]  # fmt: skip
