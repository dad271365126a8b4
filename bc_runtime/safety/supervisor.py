# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor: who may move the robot now, as a pure function of facts, events and time.

`step` has no clock, no I/O and no hidden state: the same inputs give the same decisions, live, in
tests with injected time and in a replay. The order within a step: raised flags, then events, then
flags again (an event cannot outrun an emergency stop of the same tick), then progress.

Three rules hold in every state:
* there is no motion after HELD, FAULT or ESTOP without an operator's word;
* every resume has a new epoch, so it acts on an observation newer than itself;
* only RESET leaves FAULT and ESTOP, and only once their cause is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from bc_runtime.safety.flags import Flag
from bc_runtime.safety.states import (
    Action,
    Event,
    Severity,
    Source,
    State,
)
from bc_runtime.safety.supervision import (
    Conditions,
    Memory,
    Reason,
    SupervisorConfig,
    SupervisorStep,
)
from bc_runtime.safety.supervisor_events import handle
from bc_runtime.safety.supervisor_tick import Tick

DEFAULT_CONFIG = SupervisorConfig()

_SOURCES = {
    State.UNCONFIGURED: Source.NONE,
    State.INACTIVE: Source.NONE,
    State.READY: Source.HOLD,
    State.AUTO: Source.POLICY,
    State.SLOW: Source.POLICY,
    State.TAKEOVER: Source.BRAKE,
    State.HUMAN: Source.HUMAN,
    State.HANDBACK: Source.HOLD,
    State.BRAKING: Source.BRAKE,
    State.HELD: Source.HOLD,
    State.ESTOP: Source.NONE,
}


def step(
    memory: Memory,
    conditions: Conditions,
    events: Sequence[Event],
    now_ns: int,
    config: SupervisorConfig = DEFAULT_CONFIG,
) -> SupervisorStep:
    """Decide one tick.

    Args:
        memory: From the previous step; `Memory()` at the beginning.
        conditions: Facts of this tick.
        events: What was asked for since the last tick, in order.
        now_ns: Monotonic time [ns]; must not go backwards.
        config: Table and times.
    """
    tick = Tick(memory, conditions, now_ns, config)
    tick.enforce()
    for event in events:
        handle(tick, event)
    if events:
        tick.enforce()
    # What was asked of the facts of a state that was entered only now, says the next tick.
    if tick.memory.since_ns != now_ns:
        _progress(tick)
    counting = tick.counting(tick.state, Severity.WARN) if tick.raised() else []
    return SupervisorStep(
        memory=tick.memory,
        source=_source(tick),
        speed_scale=config.slow_scale if tick.state is State.SLOW else 1.0,
        severity=tick.rule(counting[0]).severity if counting else Severity.OK,
        reasons=tuple(
            Reason(flag=flag, severity=tick.rule(flag).severity, text=tick.text(flag))
            for flag in counting
        ),
        transitions=tuple(tick.transitions),
        replies=tuple(tick.replies),
    )


class Supervisor:
    """`step` with its memory kept; one per controller, one caller."""

    def __init__(self, config: SupervisorConfig = DEFAULT_CONFIG) -> None:
        self.config = config
        self.memory = Memory()

    def step(
        self, conditions: Conditions, events: Sequence[Event] = (), *, now_ns: int
    ) -> SupervisorStep:
        """Decide one tick; see the function `step`."""
        result = step(self.memory, conditions, events, now_ns, self.config)
        self.memory = result.memory
        return result

    def inherit(self, before: Supervisor) -> None:
        """Begin unconfigured, with what only a person may end, and with epochs never used."""
        old = before.memory
        self.memory = Memory(epoch=old.epoch, latched=old.latched, reseed=True)

    @property
    def state(self) -> State:
        """Present state."""
        return self.memory.state

    @property
    def epoch(self) -> int:
        """Present epoch."""
        return self.memory.epoch


def _source(tick: Tick) -> Source:
    state = tick.state
    if state is State.ALIGN:
        return Source.ALIGN if tick.memory.target_set else Source.HOLD
    if state is State.FAULT:
        if not tick.conditions.at_rest:
            return Source.BRAKE
        return Source.HOLD if tick.config.fault_output == 'hold' else Source.NONE
    if state is State.FINALIZING:
        silent = tick.memory.finished or Flag.ESTOP in tick.memory.latched
        return Source.NONE if silent else Source.BRAKE
    return _SOURCES[state]


def _progress(tick: Tick) -> None:
    """Let the present state end by itself."""
    state = tick.state
    if state is State.AUTO or state is State.SLOW:
        _pace(tick)
    elif state is State.ALIGN:
        _approach(tick)
    elif state is State.BRAKING:
        _brake(tick)
    elif state is State.TAKEOVER:
        _engage(tick)
    elif state is State.HANDBACK:
        _handback(tick)
    elif state is State.FINALIZING:
        over = tick.conditions.at_rest or tick.elapsed_s() > tick.config.brake_timeout_s
        tick.memory = replace(tick.memory, finished=tick.memory.finished or over)


def _engage(tick: Tick) -> None:
    """TAKEOVER: let the human have the robot where it is, not where it was told to be."""
    if not tick.memory.reseed:
        if tick.conditions.human_aligned:
            tick.go(State.HUMAN, 'ENGAGED', 'the human has the robot')
    elif tick.conditions.at_rest:
        tick.memory = replace(tick.memory, reseed=False)
        tick.note(
            'TAKEOVER',
            'the robot rests, and may be elsewhere than it was told: from where it is measured',
            severity=Severity.OK,
            actions=(Action.SEED_MEASURED,),
        )


def _approach(tick: Tick) -> None:
    if not tick.memory.target_set and tick.conditions.plan_ready:
        tick.memory = replace(tick.memory, target_set=True)
    elif tick.memory.target_set and tick.conditions.aligned:
        tick.go(State.AUTO, 'ALIGNED', 'the policy has the robot')
    if tick.state is State.ALIGN and tick.elapsed_s() > tick.config.align_timeout_s:
        what = 'reach the first action' if tick.memory.target_set else 'get a plan'
        tick.stop(
            State.READY,
            'ALIGN_TIMEOUT',
            f'could not {what} within {tick.config.align_timeout_s:g} s',
            severity=Severity.HOLD,
        )


def _pace(tick: Tick) -> None:
    """AUTO and SLOW: slow down, speed up again after a while, or give up and stop."""
    slow = [
        flag
        for flag in tick.counting(tick.state, Severity.SLOW)
        if tick.rule(flag).severity is Severity.SLOW
    ]
    if tick.state is State.AUTO:
        if slow:
            tick.go(State.SLOW, slow[0], tick.text(slow[0]), severity=Severity.SLOW)
        else:
            return
    memory = tick.memory
    since = {flag: memory.raised_since.get(flag, tick.now_ns) for flag in slow}
    clear = None if slow else (memory.clear_since_ns or tick.now_ns)
    tick.memory = replace(memory, raised_since=MappingProxyType(since), clear_since_ns=clear)
    if clear is not None and (tick.now_ns - clear) * 1e-9 >= tick.config.slow_clear_s:
        tick.go(State.AUTO, 'CLEARED', 'full speed again')
        return
    for flag in slow:
        patience = tick.rule(flag).escalate_s
        if patience is not None and (tick.now_ns - since[flag]) * 1e-9 >= patience:
            tick.stop(
                State.HELD,
                flag,
                f'{tick.text(flag)}; it lasted longer than {patience:g} s',
                severity=Severity.HOLD,
            )
            return


def _brake(tick: Tick) -> None:
    memory = tick.memory
    then = memory.then or State.HELD
    if then is State.ALIGN:
        others = tick.against_the_policy()
        late = memory.recover_until_ns is None or tick.now_ns >= memory.recover_until_ns
        if others:
            flag = others[0]
            tick.stop(State.HELD, flag, tick.text(flag), severity=tick.rule(flag).severity)
        elif tick.conditions.plan_ready and not late:
            tick.align('RECOVERED', 'a plan is there again', new_epoch=False)
        elif late:
            tick.stop(State.HELD, memory.reason, memory.reason_text, severity=Severity.HOLD)
    elif tick.conditions.at_rest:
        tick.go(then, memory.reason, memory.reason_text, severity=_stop_severity(then))
    elif tick.elapsed_s() > tick.config.brake_timeout_s:
        tick.memory = replace(
            memory, latched=MappingProxyType({**memory.latched, Flag.BRAKE_TIMEOUT: ''})
        )
        flag = Flag.BRAKE_TIMEOUT
        after = State.INACTIVE if then is State.INACTIVE else State.FAULT
        tick.go(after, flag, tick.text(flag), severity=Severity.FAULT)


def _stop_severity(then: State) -> Severity:
    if then is State.FAULT:
        return Severity.FAULT
    return Severity.HOLD if then is State.HELD else Severity.OK


def _handback(tick: Tick) -> None:
    memory = tick.memory
    wanted = memory.resume_ns is not None or tick.config.auto_resume
    if not wanted:
        return
    against = tick.against_the_policy()
    if against:
        # The resume was for the world as it was: a flag counts although it is gone by now.
        flag = against[0]
        tick.stop(State.HELD, flag, tick.text(flag), severity=tick.rule(flag).severity)
        return
    ready = tick.conditions.at_rest and tick.conditions.plan_ready
    if ready and not tick.blockers():
        # The epoch is already new: it began with the resume, or when the human let go.
        tick.align('RESUMED', 'moving slowly to the first action of the new plan', new_epoch=False)
        return
    if memory.resume_ns is None:
        return
    if (tick.now_ns - memory.resume_ns) * 1e-9 > tick.config.handback_timeout_s:
        tick.memory = replace(memory, resume_ns=None)
        tick.note(
            'RESUME_TIMEOUT',
            'no plan came after the handback; see inference, then resume again',
            severity=Severity.WARN,
        )
