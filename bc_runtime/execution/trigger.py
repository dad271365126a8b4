# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""When to run the policy again."""

from __future__ import annotations

from enum import StrEnum

from bc_runtime.execution.chunk import SNAP_NS
from bc_runtime.execution.delay import DelayTracker
from bc_runtime.spec.errors import ExecutionError


class TriggerMode(StrEnum):
    """AS_FAST_AS_POSSIBLE: on every new observation. RATE: at a fixed rate.

    EVERY_N_ACTION_STEPS: when the last chunk's `n_action_steps` are executed (the queue of
    Diffusion Policy and LeRobot). REMAINING_HORIZON: when the plan lasts less than a threshold.
    """

    AS_FAST_AS_POSSIBLE = 'as_fast_as_possible'
    RATE = 'rate'
    EVERY_N_ACTION_STEPS = 'every_n_action_steps'
    REMAINING_HORIZON = 'remaining_horizon'


class TriggerDecision(StrEnum):
    """Whether to infer now, and if not, why."""

    INFER = 'infer'
    IN_FLIGHT = 'in_flight'
    NO_OBSERVATION = 'no_observation'
    SAME_OBSERVATION = 'same_observation'
    NOT_DUE = 'not_due'


class InferenceTrigger:
    """Decides when to infer; never two at once, never twice from one observation.

    The caller asks with its newest observation, so that the newest one wins; an observation that
    came meanwhile is never queued. A failed inference leaves no trace: the next observation is due
    at once. Pure: all times come from the caller, ns on the ROS clock.
    """

    def __init__(
        self,
        mode: TriggerMode | str,
        *,
        dt_ns: int,
        rate_hz: float | None = None,
        n_action_steps: int | None = None,
        horizon_s: float | None = None,
        compensate_delay: bool = True,
        delays: DelayTracker | None = None,
    ) -> None:
        """Make a trigger.

        Args:
            mode: Rule.
            dt_ns: Step of the policy's chunks [ns].
            rate_hz: For RATE.
            n_action_steps: For EVERY_N_ACTION_STEPS.
            horizon_s: For REMAINING_HORIZON: threshold [s].
            compensate_delay: Infer earlier by the measured delay, so that the next chunk is there
                when it is needed (the two modes that look at the plan).
            delays: Tracker to use; default a new one.

        Raises:
            ExecutionError: the option that the mode needs is missing or impossible.
        """
        self.mode = TriggerMode(mode)
        needed = {
            TriggerMode.RATE: ('rate_hz', rate_hz),
            TriggerMode.EVERY_N_ACTION_STEPS: ('n_action_steps', n_action_steps),
            TriggerMode.REMAINING_HORIZON: ('horizon_s', horizon_s),
        }
        if self.mode in needed:
            name, value = needed[self.mode]
            if value is None or not value > 0:
                raise ExecutionError(
                    f'trigger {self.mode.value}: expected {name} above 0, got {value}'
                )
        if dt_ns <= 0:
            raise ExecutionError(f'trigger: expected dt_ns above 0, got {dt_ns}')
        self._dt_ns = dt_ns
        self._period_ns = 1e9 / rate_hz if rate_hz else 0.0
        self._steps_ns = (n_action_steps or 0) * dt_ns
        self._horizon_s = horizon_s or 0.0
        self._compensate = compensate_delay
        self.delays = delays or DelayTracker()
        self.reset()

    def reset(self) -> None:
        """Forget the last inference (new epoch, new policy). Measured delays stay."""
        self._in_flight_ns: int | None = None  # stamp of the observation being worked on
        self._last_ns: int | None = None  # stamp of the last observation that gave a chunk
        self._used_ns: int | None = None  # stamp of the last observation that was tried
        self._origin_ns: int | None = None  # of the grid of RATE
        self._next = 0

    @property
    def in_flight(self) -> bool:
        """Whether an inference was started and has neither finished nor failed."""
        return self._in_flight_ns is not None

    def decide(
        self, *, now_ns: int, observation_ns: int | None, remaining_s: float | None = None
    ) -> TriggerDecision:
        """Return whether to infer now; changes nothing.

        Args:
            now_ns: Present time.
            observation_ns: Stamp of the newest valid observation, None if there is none.
            remaining_s: How long the present plan lasts, `Timeline.remaining_s`; None if unknown.
        """
        if self.in_flight:
            return TriggerDecision.IN_FLIGHT
        if observation_ns is None:
            return TriggerDecision.NO_OBSERVATION
        if observation_ns == self._used_ns:
            return TriggerDecision.SAME_OBSERVATION
        due = self._due(now_ns, observation_ns, remaining_s)
        return TriggerDecision.INFER if due else TriggerDecision.NOT_DUE

    def started(self, *, now_ns: int, observation_ns: int) -> None:
        """Note that an inference from this observation begins.

        Raises:
            ExecutionError: another one is in flight.
        """
        if self.in_flight:
            raise ExecutionError(
                f'an inference from the observation at {self._in_flight_ns} ns is in flight; '
                'ask decide() first'
            )
        self._in_flight_ns = self._used_ns = observation_ns
        if self.mode is TriggerMode.RATE:
            if self._origin_ns is None or now_ns < self._origin_ns:
                self._origin_ns = now_ns
            # The next point of the grid after now: missed ones are skipped, not made up for.
            passed = (now_ns + SNAP_NS - self._origin_ns) / self._period_ns
            self._next = int(passed) + 1

    def finished(self, *, received_ns: int) -> int:
        """Note that the chunk is usable; return its delay since the observation's stamp [ns]."""
        if self._in_flight_ns is None:
            raise ExecutionError('no inference is in flight; call started() first')
        delay_ns = received_ns - self._in_flight_ns
        self.delays.add(delay_ns)
        self._last_ns, self._in_flight_ns = self._in_flight_ns, None
        return delay_ns

    def failed(self) -> None:
        """Note that the inference gave no chunk; the next observation may be tried at once."""
        self._in_flight_ns = None
        if self.mode is TriggerMode.RATE:
            self._origin_ns = None

    def _due(self, now_ns: int, observation_ns: int, remaining_s: float | None) -> bool:
        lead_ns = (self.delays.estimate_ns or 0) if self._compensate else 0
        if self.mode is TriggerMode.RATE:
            if self._origin_ns is None or now_ns < self._origin_ns:
                return True
            due_ns = self._origin_ns + round(self._next * self._period_ns)
            return now_ns >= due_ns - SNAP_NS
        if self.mode is TriggerMode.EVERY_N_ACTION_STEPS:
            if self._last_ns is None or observation_ns < self._last_ns:
                return True
            if observation_ns + lead_ns >= self._last_ns + self._steps_ns - SNAP_NS:
                return True
            # A plan that ends before the next observation could renew it would leave a hole.
            next_ns = self._dt_ns + lead_ns
            return remaining_s is not None and remaining_s * 1e9 < next_ns - SNAP_NS
        if self.mode is TriggerMode.REMAINING_HORIZON:
            return (remaining_s or 0.0) <= self._horizon_s + lead_ns * 1e-9
        return True
