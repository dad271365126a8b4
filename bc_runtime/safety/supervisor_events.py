# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the supervisor does with each event; every event gets a reply that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from bc_runtime.safety.flags import Flag
from bc_runtime.safety.states import (
    ACTIVE_STATES,
    HUMAN_STATES,
    MOVING_STATES,
    POLICY_STATES,
    Action,
    Event,
    Severity,
    State,
)
from bc_runtime.safety.supervisor_tick import Tick


def handle(tick: Tick, event: Event) -> None:
    """Apply one event to the step being made."""
    accepted, text = _HANDLERS[event](tick)
    tick.reply(event, accepted, text)


Answer = tuple[bool, str]

_STILL_BRAKING = 'the robot is still braking; ask again once it rests'


def _configured(tick: Tick) -> Answer:
    if tick.state is not State.UNCONFIGURED:
        return False, f'already configured ({tick.state})'
    tick.go(State.INACTIVE, Event.CONFIGURED, 'configured')
    return True, 'configured'


def _cleanup(tick: Tick) -> Answer:
    if tick.state is not State.INACTIVE:
        return False, f'only from INACTIVE, the state is {tick.state}'
    if not tick.conditions.at_rest:
        return False, _STILL_BRAKING
    tick.go(State.UNCONFIGURED, Event.CLEANUP, 'cleaned up')
    return True, 'cleaned up'


def _activate(tick: Tick) -> Answer:
    if tick.state is not State.INACTIVE:
        return False, f'only from INACTIVE, the state is {tick.state}'
    if not tick.conditions.at_rest:
        return False, _STILL_BRAKING
    if tick.conditions.activate_blockers:
        return False, '; '.join(tick.conditions.activate_blockers)
    tick.go(
        State.READY,
        'ACTIVATED',
        'holding the measured positions',
        actions=(Action.SEED_MEASURED, Action.NEW_EPOCH),
    )
    return True, 'active'


def _deactivate(tick: Tick) -> Answer:
    if tick.state in (State.UNCONFIGURED, State.INACTIVE):
        return True, 'not active'
    if tick.state is State.FINALIZING:
        return False, 'shutting down'
    # An emergency stop sends nothing, so that there is no braking to wait for.
    at_once = tick.state is State.ESTOP or tick.conditions.at_rest
    if at_once and tick.state in (State.FAULT, State.ESTOP):
        tick.go(State.INACTIVE, 'DEACTIVATED', 'deactivated; the fault stays until it is reset')
    else:
        tick.stop(State.INACTIVE, 'DEACTIVATED', 'deactivating')
    return True, 'deactivating'


def _start(tick: Tick) -> Answer:
    if tick.state is State.HELD:
        return _resume(tick)
    if tick.state is not State.READY:
        return False, f'only from READY, the state is {tick.state}'
    blockers = tick.blockers()
    if blockers:
        return False, '; '.join(blockers)
    tick.align('STARTED', 'moving slowly to the first action')
    return True, 'started'


def _resume(tick: Tick) -> Answer:
    if tick.state not in (State.HELD, State.HANDBACK):
        hint = '; use start' if tick.state is State.READY else ''
        return False, f'only from HELD or HANDBACK, the state is {tick.state}{hint}'
    blockers = tick.blockers()
    if blockers:
        return False, '; '.join(blockers)
    if tick.state is State.HANDBACK:
        if tick.memory.resume_ns is None:
            text = 'resuming with the first plan made from now on'
            tick.note(Event.RESUME, text, severity=Severity.OK, actions=(Action.NEW_EPOCH,))
            tick.memory = replace(tick.memory, resume_ns=tick.now_ns)
        return True, 'resuming with the first plan made from now on'
    tick.align('RESUMED', 'moving slowly to the first action of a new plan')
    return True, 'resumed'


def _stop(tick: Tick) -> Answer:
    return _halt(tick, 'OPERATOR_STOP', 'stopped by the operator')


def _episode_end(tick: Tick) -> Answer:
    return _halt(tick, 'EPISODE_END', 'the episode is over')


def _halt(tick: Tick, code: str, text: str) -> Answer:
    if tick.state in MOVING_STATES or tick.state is State.BRAKING:
        tick.stop(State.READY, code, text)
    elif tick.state is State.HELD:
        tick.go(State.READY, code, text)
    return True, text if tick.state in ACTIVE_STATES else f'nothing moves in {tick.state}'


def _takeover_press(tick: Tick) -> Answer:
    if tick.state in HUMAN_STATES:
        return True, 'you already have the robot'
    if tick.state not in ACTIVE_STATES:
        return False, f'no takeover in {tick.state}'
    if tick.state is State.BRAKING and tick.memory.then in (State.FAULT, State.INACTIVE):
        return False, f'the robot is stopping: {tick.memory.reason_text}'
    refused = [
        flag for flag in tick.counting(State.HUMAN, Severity.HOLD) if not tick.rule(flag).takeover
    ]
    if refused:
        return False, _refuse_takeover(tick, refused)
    reseed = tick.memory.reseed and tick.conditions.at_rest
    tick.go(
        State.TAKEOVER,
        'TAKEOVER',
        "a human takes over; braking until the hands are at the robot's pose",
        actions=(Action.SEED_MEASURED,) if reseed else (),
    )
    return True, 'align the leader with the robot to engage'


def _refuse_takeover(tick: Tick, flags: list[Flag]) -> str:
    """Say why a human cannot have the robot; the policy does not keep it for that."""
    why = '; '.join(f'{flag}: {tick.text(flag)}' for flag in flags)
    recovers = tick.state is State.BRAKING and tick.memory.then is State.ALIGN
    if not (recovers or tick.state in POLICY_STATES or tick.state is State.HANDBACK):
        return f'{why}; then let go and press again'
    text = f'a takeover was asked for and is not possible: {tick.text(flags[0])}'
    tick.stop(State.HELD, flags[0], text, severity=Severity.HOLD)
    return f'the robot stops, but you do not have it: {why}; then let go and press again'


def _takeover_release(tick: Tick) -> Answer:
    if tick.state is State.HUMAN:
        tick.go(
            State.HANDBACK,
            'RELEASED',
            'the human has let go; resume gives the robot back to the policy',
            actions=(Action.NEW_EPOCH,),
        )
    elif tick.state is State.TAKEOVER:
        tick.stop(State.READY, 'RELEASED', 'released before engaging')
    return True, 'released'


def _reset(tick: Tick) -> Answer:
    latched = tick.memory.latched
    if not latched and tick.state not in (State.FAULT, State.ESTOP):
        return True, 'nothing to reset'
    still = [flag for flag in latched if flag in tick.conditions.flags]
    if still:
        return False, '; '.join(f'{flag} is still raised: {tick.text(flag)}' for flag in still)
    if tick.state is State.BRAKING or not tick.conditions.at_rest:
        return False, _STILL_BRAKING
    tick.memory = replace(tick.memory, latched=MappingProxyType({}))
    if tick.state in (State.FAULT, State.ESTOP):
        tick.go(
            State.READY,
            'RESET',
            'reset by the operator; start begins again from the measured positions',
            actions=(Action.SEED_MEASURED, Action.NEW_EPOCH),
        )
    return True, 'reset'


def _time_jump(tick: Tick) -> Answer:
    text = 'ROS time went backwards: everything observed before is void'
    actions = (Action.NEW_EPOCH,)
    if tick.state in MOVING_STATES:
        tick.stop(State.READY, 'TIME_JUMP', text, severity=Severity.HOLD, actions=actions)
    elif tick.state is State.HELD:
        tick.go(State.READY, 'TIME_JUMP', text, severity=Severity.HOLD, actions=actions)
    else:
        tick.note('TIME_JUMP', text, severity=Severity.WARN, actions=actions)
        if tick.state is State.BRAKING and tick.memory.then in (State.ALIGN, State.HELD):
            tick.memory = replace(tick.memory, then=State.READY, recover_until_ns=None)
    return True, text


def _shutdown(tick: Tick) -> Answer:
    if tick.state is State.FINALIZING:
        tick.memory = replace(tick.memory, finished=True)
        return True, 'leaving at once; the last trajectory ends at rest'
    silent = tick.state in (State.UNCONFIGURED, State.INACTIVE, State.ESTOP)
    tick.go(State.FINALIZING, Event.SHUTDOWN, 'braking, then leaving')
    if silent or tick.conditions.at_rest:
        tick.memory = replace(tick.memory, finished=True)
    return True, 'shutting down'


_HANDLERS: dict[Event, Callable[[Tick], Answer]] = {
    Event.CONFIGURED: _configured,
    Event.CLEANUP: _cleanup,
    Event.ACTIVATE: _activate,
    Event.DEACTIVATE: _deactivate,
    Event.START: _start,
    Event.STOP: _stop,
    Event.EPISODE_END: _episode_end,
    Event.RESUME: _resume,
    Event.TAKEOVER_PRESS: _takeover_press,
    Event.TAKEOVER_RELEASE: _takeover_release,
    Event.RESET: _reset,
    Event.TIME_JUMP: _time_jump,
    Event.SHUTDOWN: _shutdown,
}
