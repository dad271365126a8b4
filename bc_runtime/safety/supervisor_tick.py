# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One step of the supervisor while it is being made: facts in, changes of state out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bc_runtime.safety.flags import Flag, FlagRule
from bc_runtime.safety.states import (
    MOVING_STATES,
    POLICY_STATES,
    Action,
    Event,
    Severity,
    State,
)
from bc_runtime.safety.supervision import (
    Conditions,
    Memory,
    Reply,
    SupervisorConfig,
    Transition,
)

#: A later wish replaces where BRAKING ends only if it ranks higher.
#: A deactivation outranks a fault, which stays latched and meets the next activation.
_RANK = {State.ALIGN: 0, State.HELD: 1, State.READY: 2, State.FAULT: 3, State.INACTIVE: 4}
_STOPPED = frozenset({State.BRAKING, State.HELD, State.FAULT, State.ESTOP})


class Tick:
    """Working copy of the memory and what happened so far in this step."""

    def __init__(
        self, memory: Memory, conditions: Conditions, now_ns: int, config: SupervisorConfig
    ) -> None:
        self.memory = memory
        self.conditions = conditions
        self.now_ns = now_ns
        self.config = config
        self.transitions: list[Transition] = []
        self.replies: list[Reply] = []

    # -- facts --------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """State at this point of the step."""
        return self.memory.state

    def rule(self, flag: Flag) -> FlagRule:
        """Return the row of the table."""
        return self.config.rules[flag]

    def raised(self) -> Mapping[Flag, str]:
        """Return the flags that are raised or latched."""
        if not self.memory.latched:
            return self.conditions.flags
        return {**self.memory.latched, **self.conditions.flags}

    def counting(self, state: State, least: Severity) -> list[Flag]:
        """Return the flags that count in a state, the most urgent first (`FlagRule.urgency`)."""
        flags = [
            flag
            for flag in self.raised()
            if state in self.rule(flag).states and self.rule(flag).severity >= least
        ]
        flags.sort(key=lambda flag: self.rule(flag).urgency, reverse=True)
        return flags

    def against_the_policy(self) -> list[Flag]:
        """Return the flags of which each alone keeps the policy from the robot."""
        flags = [
            flag
            for flag in self.raised()
            if self.rule(flag).needs_a_person and self.rule(flag).states & POLICY_STATES
        ]
        flags.sort(key=lambda flag: self.rule(flag).urgency, reverse=True)
        return flags

    def text(self, flag: Flag) -> str:
        """Return the table's text with the present detail."""
        detail = self.raised().get(flag, '')
        text = self.rule(flag).text
        return f'{text} ({detail})' if detail else text

    def blockers(self) -> list[str]:
        """Return why the policy may not get the robot now."""
        return [
            *(f'{flag}: {self.text(flag)}' for flag in self.against_the_policy()),
            *self.conditions.start_blockers,
        ]

    def elapsed_s(self) -> float:
        """Return the time in the present state [s]."""
        return (self.now_ns - self.memory.since_ns) * 1e-9

    # -- changes ------------------------------------------------------------------------------

    def go(
        self,
        state: State,
        code: str,
        text: str,
        *,
        severity: Severity = Severity.OK,
        actions: tuple[Action, ...] = (),
    ) -> None:
        """Enter a state."""
        old = self.memory
        stopped = state in _STOPPED
        self.memory = replace(
            old,
            state=state,
            since_ns=self.now_ns,
            epoch=old.epoch + (Action.NEW_EPOCH in actions),
            reason=str(code) if stopped else '',
            reason_text=text if stopped else '',
            then=None,
            recover_until_ns=None,
            target_set=False,
            resume_ns=None,
            raised_since=MappingProxyType({}),
            clear_since_ns=None,
            reseed=old.reseed and Action.SEED_MEASURED not in actions,
        )
        self._record(old.state, code, text, severity, actions)

    def note(
        self, code: str, text: str, *, severity: Severity, actions: tuple[Action, ...] = ()
    ) -> None:
        """Report an event that leaves the state as it is."""
        self.memory = replace(self.memory, epoch=self.memory.epoch + (Action.NEW_EPOCH in actions))
        self._record(self.memory.state, code, text, severity, actions)

    def stop(
        self,
        then: State,
        code: str,
        text: str,
        *,
        severity: Severity = Severity.OK,
        actions: tuple[Action, ...] = (),
        recover_s: float = 0.0,
    ) -> None:
        """Brake, and go to `then` once at rest; a higher-ranking stop under way wins."""
        if self.state is State.BRAKING:
            present = self.memory.then
            if present is not None and _RANK[then] <= _RANK[present]:
                return
            self.memory = replace(
                self.memory, then=then, reason=code, reason_text=text, recover_until_ns=None
            )
            self.note(code, text, severity=severity, actions=actions)
            return
        if self.conditions.at_rest and then is not State.ALIGN:
            self.go(then, code, text, severity=severity, actions=actions)
            return
        self.go(State.BRAKING, code, text, severity=severity, actions=actions)
        until = self.now_ns + round(recover_s * 1e9) if then is State.ALIGN else None
        self.memory = replace(self.memory, then=then, recover_until_ns=until)

    def align(self, code: str, text: str, *, new_epoch: bool = True) -> None:
        """Enter ALIGN; from the measured positions if the robot may have moved by itself."""
        actions: tuple[Action, ...] = (Action.NEW_EPOCH,) if new_epoch else ()
        if self.memory.reseed and self.conditions.at_rest:
            actions = (Action.SEED_MEASURED, *actions)
        self.go(State.ALIGN, code, text, actions=actions)

    def reply(self, event: Event, accepted: bool, text: str) -> None:
        """Answer an event."""
        self.replies.append(Reply(event=event, accepted=accepted, text=text))

    # -- flags --------------------------------------------------------------------------------

    def enforce(self) -> None:
        """Latch what is to be latched and let the most severe flag act."""
        if not self.conditions.flags and not self.memory.latched:
            return
        self._latch()
        flags = self.counting(self.state, Severity.HOLD)
        if not flags:
            return
        flag = flags[0]
        rule = self.rule(flag)
        text = self.text(flag)
        if len(flags) > 1:
            text += f'; also {", ".join(flags[1:])}'
        if rule.severity is Severity.ESTOP:
            if self.state is State.FINALIZING:
                self.memory = replace(self.memory, finished=True)
            elif self.memory.then is State.INACTIVE:
                # Whoever deactivates and whoever presses the button both get what they asked for,
                # in either order: nothing is sent, and the stop meets the next activation.
                self.go(State.INACTIVE, flag, text, severity=rule.severity)
            else:
                self.go(State.ESTOP, flag, text, severity=rule.severity)
        elif rule.severity is Severity.FAULT:
            self.stop(State.FAULT, flag, text, severity=rule.severity)
        elif self.state in MOVING_STATES:
            self.stop(rule.then, flag, text, severity=rule.severity, recover_s=rule.recover_s)

    def _latch(self) -> None:
        latched = dict(self.memory.latched)
        reseed = self.memory.reseed
        for flag, detail in self.conditions.flags.items():
            rule = self.rule(flag)
            latches = rule.severity is Severity.ESTOP or (
                rule.severity is Severity.FAULT and self.state in rule.states
            )
            if latches and flag not in latched:
                latched[flag] = detail
            reseed = reseed or rule.reseed
        if len(latched) != len(self.memory.latched) or reseed != self.memory.reseed:
            self.memory = replace(self.memory, latched=MappingProxyType(latched), reseed=reseed)

    def _record(
        self,
        previous: State,
        code: str,
        text: str,
        severity: Severity,
        actions: tuple[Action, ...],
    ) -> None:
        self.transitions.append(
            Transition(
                previous=previous,
                state=self.memory.state,
                code=str(code),
                severity=severity,
                text=text,
                at_ns=self.now_ns,
                epoch=self.memory.epoch,
                actions=actions,
            )
        )
