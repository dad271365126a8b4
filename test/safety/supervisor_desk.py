# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A desk for the supervisor's tests: facts, events and time in the hands of the test."""

from __future__ import annotations

from bc_runtime.safety import (
    Conditions,
    Event,
    Flag,
    State,
    Supervisor,
    SupervisorConfig,
    SupervisorStep,
)

TICK_NS = 10_000_000


class Desk:
    """A supervisor, a clock and the facts, with a word for each thing a test does."""

    def __init__(self, **config: object) -> None:
        self.supervisor = Supervisor(SupervisorConfig(**config))
        self.now_ns = 1_000_000_000
        self.facts: dict[str, object] = {'at_rest': True}
        self.flags: dict[Flag, str] = {}
        self.codes: list[str] = []
        self.last: SupervisorStep | None = None

    def tick(self, *events: Event, **facts: object) -> SupervisorStep:
        self.now_ns += TICK_NS
        self.facts.update(facts)
        conditions = Conditions(flags=dict(self.flags), **self.facts)
        step = self.supervisor.step(conditions, events, now_ns=self.now_ns)
        self.codes += [one.code for one in step.transitions]
        self.last = step
        return step

    def wait(self, seconds: float, **facts: object) -> SupervisorStep:
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            step = self.tick(**facts)
        return step

    @property
    def state(self) -> State:
        return self.supervisor.state

    def to(self, state: State) -> Desk:
        """Drive the machine to a state along its ordinary way."""
        if state is State.UNCONFIGURED:
            return self
        self.tick(Event.CONFIGURED)
        if state is State.INACTIVE:
            return self
        self.tick(Event.ACTIVATE)
        if state is State.READY:
            return self
        self.tick(Event.START)
        if state is State.ALIGN:
            return self
        self.tick(plan_ready=True)
        self.tick(aligned=True, at_rest=False)
        if state is State.AUTO:
            return self
        if state is State.SLOW:
            self.flags[Flag.TICKS_MISSED] = ''
            self.tick()
            return self
        if state in (State.TAKEOVER, State.HUMAN, State.HANDBACK):
            self.tick(Event.TAKEOVER_PRESS)
            if state is not State.TAKEOVER:
                self.tick(human_aligned=True)
            if state is State.HANDBACK:
                self.tick(Event.TAKEOVER_RELEASE, plan_ready=False)
            return self
        flag = {
            State.BRAKING: Flag.CAMERA_STALE,
            State.HELD: Flag.CAMERA_STALE,
            State.FAULT: Flag.TRACKING_ERROR,
            State.ESTOP: Flag.ESTOP,
        }.get(state)
        if flag is None:
            self.tick(Event.SHUTDOWN)
            return self
        self.flags[flag] = 'detail'
        self.tick()
        if state in (State.HELD, State.FAULT):
            self.tick(at_rest=True)
        if state is State.ESTOP:
            self.facts['at_rest'] = True
        return self
