# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""InferenceLoop: which observation the policy sees next, and the chunk that comes of it.

The newest observation wins, never two inferences are in flight, and a new policy takes over
between two of them. No ROS and no thread of its own; the node and `Pipeline` call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import threading

import numpy as np
from numpy.typing import NDArray

from bc_runtime.execution import (
    ActionChunk,
    CommittedPrefix,
    InferenceTrigger,
    TriggerDecision,
    TriggerMode,
)
from bc_runtime.policy import InferenceFailed, PolicyFacts, PolicySlot, Prefix, accepts_prefix
from bc_runtime.spec import BcError, ExecutionError
from bc_runtime.spec.errors import available


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInputs:
    """A valid observation as the policy takes it.

    Attributes:
        stamp_ns: ROS time that the tensors are aligned to.
        policy_id: Policy whose spec shaped the tensors.
        anchor: Observed state that relative actions refer to.
    """

    stamp_ns: int
    sequence: int
    epoch: int
    policy_id: str
    tensors: Mapping[str, NDArray[np.generic]]
    anchor: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResult:
    """A chunk and how it came about."""

    chunk: ActionChunk
    policy: PolicyFacts
    inference_s: float
    prefix_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOptions:
    """When to infer; see `InferenceTrigger`. Zeros stand for the policy's own numbers."""

    mode: str = TriggerMode.AS_FAST_AS_POSSIBLE.value
    rate_hz: float = 0.0
    n_action_steps: int = 0
    horizon_s: float = 0.0


class InferenceLoop:
    """One policy at work. `on_*` may be called from any thread, `take` and `infer` from one."""

    def __init__(self, slot: PolicySlot, trigger: TriggerOptions | None = None) -> None:
        self.slot = slot
        self._options = trigger or TriggerOptions()
        modes = [mode.value for mode in TriggerMode]
        if self._options.mode not in modes:
            raise ExecutionError(
                f'unknown trigger {self._options.mode!r}; available: {available(modes)}'
            )
        self._trigger: InferenceTrigger | None = None
        self._generation = 0
        self._lock = threading.Lock()
        self._newest: PolicyInputs | None = None
        self._epoch = 0
        self._accepting = False
        self._remaining_s = 0.0
        self._committed: CommittedPrefix | None = None
        self._seed = 0
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """Number of the newest chunk."""
        return self._sequence

    @property
    def accepting(self) -> bool:
        """Whether chunks are wanted."""
        return self._accepting

    def on_observation(self, inputs: PolicyInputs) -> None:
        """Take a valid observation; an older one that was not used is dropped."""
        with self._lock:
            self._newest = inputs

    def on_execution_state(
        self,
        *,
        epoch: int,
        accepting: bool,
        remaining_s: float,
        committed: CommittedPrefix | None = None,
        seed: int = 0,
    ) -> None:
        """Take what the controller says; a new epoch resets the policy with `seed` + epoch.

        Args:
            epoch: Observations of another epoch are void.
            accepting: Whether chunks are wanted.
            remaining_s: How long the plan still lasts [s].
            committed: The plan that is being executed, for policies that continue from it.
            seed: Seed of the sampling noise.
        """
        with self._lock:
            changed = epoch != self._epoch
            self._epoch = epoch
            self._accepting = accepting
            self._remaining_s = remaining_s
            self._committed = committed
            self._seed = seed + epoch
            if changed:
                self._newest = None
                if self._trigger is not None and not self._trigger.in_flight:
                    self._trigger.reset()
        if changed:
            self.slot.reset(seed=seed + epoch)

    def take(self, *, now_ns: int) -> PolicyInputs | None:
        """Return the observation to infer from now, or None; swaps the policy if one is ready."""
        self.slot.swap(chunks=self._sequence)
        facts = self.slot.active
        if facts is None:
            return None
        with self._lock:
            if facts.generation != self._generation or self._trigger is None:
                self._generation = facts.generation
                self._trigger = self._make_trigger(facts)
                self.slot.reset(seed=self._seed)
            inputs = self._newest
            if inputs is None or not self._accepting:
                return None
            if inputs.policy_id != facts.policy_id or inputs.epoch != self._epoch:
                self._newest = None
                return None
            decision = self._trigger.decide(
                now_ns=now_ns, observation_ns=inputs.stamp_ns, remaining_s=self._remaining_s
            )
            if decision is not TriggerDecision.INFER:
                return None
            self._newest = None
            self._trigger.started(now_ns=now_ns, observation_ns=inputs.stamp_ns)
            return inputs

    def infer(self, inputs: PolicyInputs) -> InferenceResult:
        """Run the policy on what `take` returned; call `delivered` or `failed` next.

        Raises:
            PolicyError: the policy gave no usable chunk.
        """
        try:
            return self._infer(inputs)
        except BcError:
            self.failed()
            raise
        # Whatever it is, the thread that infers must live, and the trigger must not wait for ever.
        except Exception as error:
            self.failed()
            raise InferenceFailed(f'{type(error).__name__}: {error}') from error

    def _infer(self, inputs: PolicyInputs) -> InferenceResult:
        prefix = self._prefix(inputs)
        inference, facts = self.slot.infer(inputs.tensors, prefix=prefix)
        spec = facts.spec
        self._sequence += 1
        chunk = ActionChunk(
            stamp_ns=inputs.stamp_ns,
            dt_ns=spec.dt_ns,
            stamp_index=spec.stamp_index,
            values=inference.values,
            names=spec.action_names,
            kinds=spec.action_kinds,
            references=spec.action_references,
            policy_id=facts.policy_id,
            sequence=self._sequence,
            epoch=inputs.epoch,
            observation_sequence=inputs.sequence,
            anchor=inputs.anchor or None,
            received_ns=inputs.stamp_ns,
        )
        return InferenceResult(
            chunk=chunk,
            policy=facts,
            inference_s=inference.inference_ns * 1e-9,
            prefix_steps=prefix.delay_steps if prefix is not None else 0,
        )

    def delivered(self, *, now_ns: int) -> None:
        """Note that the chunk is on its way to the controller."""
        with self._lock:
            if self._trigger is not None and self._trigger.in_flight:
                self._trigger.finished(received_ns=now_ns)

    def failed(self) -> None:
        """Note that no chunk came of it."""
        with self._lock:
            if self._trigger is not None:
                self._trigger.failed()

    def _prefix(self, inputs: PolicyInputs) -> Prefix | None:
        """Return what will be executed whatever comes, as the policy's graph takes it."""
        facts = self.slot.active
        with self._lock:
            plan, trigger = self._committed, self._trigger
        if facts is None or plan is None or trigger is None or not accepts_prefix(facts.spec):
            return None
        spec = facts.spec
        first_ns = inputs.stamp_ns - spec.stamp_index * spec.dt_ns
        values = plan_at(plan, first_ns, spec.dt_ns, spec.chunk_size)
        if not len(values):
            return None
        delay = min(trigger.delays.steps(spec.dt_ns) + spec.stamp_index, len(values))
        return Prefix(names=plan.names, values=values, delay_steps=delay)

    def _make_trigger(self, facts: PolicyFacts) -> InferenceTrigger:
        options, spec = self._options, facts.spec
        # As the receding horizon does: waiting past the end of a short chunk is a hole each time.
        n_action_steps = min(options.n_action_steps or spec.n_action_steps, spec.chunk_size)
        return InferenceTrigger(
            options.mode,
            dt_ns=spec.dt_ns,
            rate_hz=options.rate_hz or spec.control_hz,
            n_action_steps=n_action_steps,
            horizon_s=options.horizon_s or 0.5 * spec.chunk_size / spec.control_hz,
        )


def plan_at(plan: CommittedPrefix, first_ns: int, dt_ns: int, steps: int) -> NDArray[np.float32]:
    """Return the plan's actions at first_ns, first_ns + dt_ns, ..., linearly between its samples.

    Returns:
        (P, D) float32, P <= steps: it ends where the plan ends, and is empty where the plan does
        not reach back to `first_ns`. Nothing is padded.
    """
    count = len(plan.values)
    places = (first_ns - plan.stamp_ns + dt_ns * np.arange(steps)) / plan.dt_ns
    if count < 2 or places[0] < 0.0:
        return np.empty((0, len(plan.names)), dtype=np.float32)
    places = places[places <= count - 1]
    left = np.minimum(places.astype(int), count - 2)
    share = (places - left)[:, None]
    values = plan.values[left] * (1.0 - share) + plan.values[left + 1] * share
    return np.asarray(values, dtype=np.float32)
