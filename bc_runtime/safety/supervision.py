# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into the supervisor each tick, what it remembers, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from bc_runtime.safety.flags import DEFAULT_RULES, Flag, FlagRule
from bc_runtime.safety.states import Action, Event, Severity, Source, State

_NO_FLAGS: Mapping[Flag, str] = MappingProxyType({})
_NO_TIMES: Mapping[Flag, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """Times and choices of the supervisor.

    Attributes:
        rules: The flag table.
        align_timeout_s: Longest ALIGN, waiting for the first plan included [s].
        slow_scale: Speed of SLOW as a share of the policy's own speed.
        slow_clear_s: SLOW ends this long after its last flag went away [s].
        brake_timeout_s: Braking that takes longer is a fault [s]; must exceed max(vmax/d).
        handback_timeout_s: How long a resume waits for the first plan after a handback [s].
        auto_resume: Hand back to the policy without an explicit resume.
        fault_output: `hold` keeps sending the last command in FAULT, `none` stops sending.
    """

    rules: Mapping[Flag, FlagRule] = field(default_factory=lambda: DEFAULT_RULES)
    align_timeout_s: float = 10.0
    slow_scale: float = 0.5
    slow_clear_s: float = 1.0
    brake_timeout_s: float = 5.0
    handback_timeout_s: float = 10.0
    auto_resume: bool = False
    fault_output: Literal['hold', 'none'] = 'hold'


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The facts of one tick.

    Attributes:
        flags: Raised flags -> detail for people, e.g. CAMERA_STALE -> 'front: 0.31 s'.
        at_rest: The last command does not move (`Limiter.at_rest`).
        plan_ready: Chunks of the present epoch cover this tick; their observations are newer than
            the epoch.
        aligned: The approach has arrived (`Approach.aligned`).
        human_aligned: The teleoperation target is at the command, or the clutch is engaged.
        activate_blockers: Why activation is refused; one line each, with what to do.
        start_blockers: Why a start or a resume is refused; one line each, with what to do.
    """

    flags: Mapping[Flag, str] = field(default_factory=lambda: _NO_FLAGS)
    at_rest: bool
    plan_ready: bool = False
    aligned: bool = False
    human_aligned: bool = False
    activate_blockers: tuple[str, ...] = ()
    start_blockers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the supervisor remembers between ticks.

    Attributes:
        state: Present state.
        since_ns: When it was entered, monotonic [ns].
        epoch: Counts the resumes; observations and chunks of an older epoch are void.
        reason: Flag or event that led to BRAKING, HELD, FAULT or ESTOP; empty otherwise.
        reason_text: For people.
        then: BRAKING only: the state that follows the stop.
        recover_until_ns: BRAKING only: until when a plan brings the motion back.
        target_set: ALIGN only: a plan has been there, so the approach has its target.
        resume_ns: HANDBACK only: when the resume was asked for; None: not yet.
        raised_since: SLOW flags -> when they were raised, monotonic [ns].
        clear_since_ns: SLOW only: since when no SLOW flag is raised.
        latched: Flags that stay until reset -> their detail.
        reseed: The robot may have moved by itself; the next ALIGN starts from the measurement.
        finished: FINALIZING is over; the process may end.
    """

    state: State = State.UNCONFIGURED
    since_ns: int = 0
    epoch: int = 0
    reason: str = ''
    reason_text: str = ''
    then: State | None = None
    recover_until_ns: int | None = None
    target_set: bool = False
    resume_ns: int | None = None
    raised_since: Mapping[Flag, int] = field(default_factory=lambda: _NO_TIMES)
    clear_since_ns: int | None = None
    latched: Mapping[Flag, str] = field(default_factory=lambda: _NO_FLAGS)
    reseed: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change of state, or (`previous == state`) a notable event within one.

    Attributes:
        code: Machine-readable reason: a `Flag`, or a word such as STARTED or OPERATOR_STOP.
        text: For people: what happened and what to do.
        at_ns: Monotonic time [ns].
        actions: What the controller must do before this tick's command.
    """

    previous: State
    state: State
    code: str
    severity: Severity
    text: str
    at_ns: int
    epoch: int
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one event, for the service or button that caused it."""

    event: Event
    accepted: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A raised flag that counts in the present state."""

    flag: Flag
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStep:
    """The supervisor's decision for one tick.

    Attributes:
        memory: To be given to the next step.
        source: Who makes this tick's command.
        speed_scale: Wanted pace of the policy clock, 0..1 (slew it with `Pace`).
        severity: Most severe flag that counts.
        reasons: Flags that count, the most severe first.
        transitions: In order; publish each one and do its actions.
        replies: One per event, in order.
    """

    memory: Memory
    source: Source
    speed_scale: float
    severity: Severity
    reasons: tuple[Reason, ...]
    transitions: tuple[Transition, ...]
    replies: tuple[Reply, ...]

    @property
    def state(self) -> State:
        """State after this step."""
        return self.memory.state

    @property
    def actions(self) -> tuple[Action, ...]:
        """Actions of all transitions of this step, in order."""
        return tuple(action for one in self.transitions for action in one.actions)
