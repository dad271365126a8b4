# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Random histories of the supervisor: what must never happen, whatever comes in which order."""

from __future__ import annotations

import random

from supervisor_desk import Desk

from bc_runtime.safety import DEFAULT_RULES, Event, Flag, Severity, Source, State
from bc_runtime.safety.states import MOVING_STATES

BEGIN = [State.UNCONFIGURED, State.READY, State.AUTO, State.HUMAN]
SEVERITIES = sorted({rule.severity for rule in DEFAULT_RULES.values()})


def random_run(seed: int, ticks: int) -> list[tuple[object, ...]]:
    rng = random.Random(seed)
    desk = Desk(auto_resume=rng.random() < 0.5)
    trace: list[tuple[object, ...]] = []
    at_rest = True
    for _ in range(ticks):
        if rng.random() < 0.05:
            severity = rng.choice(SEVERITIES)  # few flags warn or slow down, most stop the robot
            flag = rng.choice([f for f in Flag if DEFAULT_RULES[f].severity is severity])
            if flag in desk.flags:
                del desk.flags[flag]
            else:
                desk.flags[flag] = 'x'
        if rng.random() < 0.1:
            desk.flags.clear()
        events = [rng.choice(list(Event))] if rng.random() < 0.2 else []
        if desk.state is State.FINALIZING:
            # Most of what can go wrong goes wrong after a start.
            desk = Desk(auto_resume=rng.random() < 0.5).to(rng.choice(BEGIN))
        before, flags, epoch = desk.state, dict(desk.flags), desk.supervisor.epoch
        step = desk.tick(
            *events,
            at_rest=at_rest,
            plan_ready=rng.random() < 0.5,
            aligned=rng.random() < 0.5,
            human_aligned=rng.random() < 0.5,
        )
        at_rest = step.source not in (Source.POLICY, Source.HUMAN, Source.ALIGN) and (
            at_rest or rng.random() < 0.3
        )
        trace.append((before, flags, tuple(events), epoch, step))
    return trace


def test_property_no_history_lets_the_robot_move_by_itself_or_past_a_flag() -> None:
    moves = {Source.POLICY, Source.HUMAN, Source.ALIGN}
    stopped = {State.HELD, State.FAULT, State.ESTOP, State.READY, State.INACTIVE}
    words = {Event.START, Event.RESUME, Event.TAKEOVER_PRESS}
    visited = set()
    for seed in range(60):
        for before, flags, events, epoch, step in random_run(seed, 500):
            visited.add(step.state)
            if before in stopped and step.state in MOVING_STATES:
                assert set(events) & words, (before, step.state, events)
            if before in (State.FAULT, State.ESTOP) and step.state is not before:
                assert set(events) & {Event.RESET, Event.SHUTDOWN, Event.DEACTIVATE} or (
                    step.state is State.ESTOP
                )
            if Flag.ESTOP in flags:
                assert step.source is Source.NONE or step.state in (
                    State.UNCONFIGURED,
                    State.INACTIVE,
                )
            for flag in flags:
                rule = DEFAULT_RULES[flag]
                if rule.severity >= Severity.HOLD and step.state in rule.states:
                    assert step.source not in moves, (flag, step.state)
            if before is State.HELD and step.state is State.ALIGN:
                assert step.memory.epoch > epoch
            assert step.memory.epoch >= epoch
            for one in step.transitions:
                assert one.code
                assert one.text
    assert visited == set(State)


def test_property_the_same_history_gives_the_same_decisions() -> None:
    assert random_run(7, 400) == random_run(7, 400)
