# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Plan: the chunks that passed the gate, and what they want now, in the robot's joint order."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
import math

from bc_runtime.control.options import ControlOptions
from bc_runtime.control.probation import Probation, Rollback
from bc_runtime.execution import (
    ActionChunk,
    AddResult,
    CommittedPrefix,
    Interpolation,
    PolicyDefaults,
    Setpoint,
    Strategy,
    Timeline,
    make_strategy,
)
from bc_runtime.execution.anchoring import absolute_actions
from bc_runtime.execution.layout import RATE_KINDS
from bc_runtime.policy import accepts_prefix
from bc_runtime.safety import (
    Check,
    ChunkIngress,
    Flag,
    IngressContext,
    JointLimits,
    Pace,
    Verdict,
)
from bc_runtime.spec import ActionKind, ExecutionError, PolicySpec
from bc_runtime.spec.errors import available

#: How long ended chunks stay known, for the prefix of real-time chunking [s].
_RETAIN_S = 0.25
#: Steps before now that a committed plan begins: observations are older than now.
_PREFIX_BACK_STEPS = 2
_REMEMBERED = 64
#: Kinds of actions that say where a joint should be.
_PLACES = (ActionKind.JOINT_POSITION, ActionKind.CONTINUOUS_JOINT, ActionKind.GRIPPER)

#: What is normal after a restart or with a repeating network, and no fault of the policy.
_HARMLESS = (AddResult.STALE_EPOCH, AddResult.STALE_OBSERVATION, AddResult.DUPLICATE)
_HARMLESS_CHECKS = (Check.POLICY, Check.EPOCH, Check.ORDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPoint:
    """What the plan wants when the command of one tick acts.

    Attributes:
        position: Joint positions in the order of the robot's command.
        velocity: Their rates of change, at the present pace.
        rates: Which of them the policy gives as velocities; their `position` says nothing.
        sequence: Newest chunk in use.
        chunks: Number of chunks in use.
        age_s: Present time - observation stamp of that chunk [s].
    """

    position: tuple[float, ...]
    velocity: tuple[float, ...]
    rates: tuple[bool, ...]
    sequence: int
    chunks: int
    age_s: float


class Plan:
    """The timeline with a gate before it and a pace behind it.

    The policy's clock runs with the robot's unless the supervisor slows it down; then it lags, and
    stays behind. Chunks are put on the policy's clock as it stands when they come, so that a new
    plan begins now, however much it lags.
    """

    def __init__(
        self, joints: tuple[str, ...], limits: tuple[JointLimits, ...], options: ControlOptions
    ) -> None:
        self._joints = joints
        self._limits = limits
        self._options = options
        try:
            interpolation = Interpolation(options.interpolation)
        except ValueError:
            raise ExecutionError(
                f'unknown interpolation {options.interpolation!r}; '
                f'available: {available(kind.value for kind in Interpolation)}'
            ) from None
        self._config = options.ingress
        self._timeline = Timeline(
            self._strategy(None),
            interpolation=interpolation,
            blending=options.blending,
            retain_s=_RETAIN_S,
        )
        self._ingress: ChunkIngress | None = None
        self._order: tuple[tuple[str, ...], tuple[int, ...]] = ((), ())
        self._rates = (False,) * len(joints)
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self._pace = Pace()
        self._lag_ns = 0.0
        self._epoch_start_ns = 0
        self.policy_id = ''
        self.spec: PolicySpec | None = None
        self.accepted = 0
        self.rejected = 0
        self.last_rejection = ''
        self.dropped: Counter[str] = Counter()
        """Chunks that count for nothing and are no fault of the policy, by reason."""
        self.rollback: Rollback | None = None
        """The last policy that was sent away; taken by whoever acts on it."""
        self._probation = Probation()
        self._newest: ActionChunk | None = None
        self._came: tuple[int, int] | None = None
        self._other_process = ''
        self.newest_latency_s = math.nan
        """From the observation of the newest accepted chunk until it came [s]."""

    def set_policy(self, policy_id: str, spec: PolicySpec) -> None:
        """Take chunks of this policy from now on; what is planned already goes on.

        Until a chunk of it is accepted it is on probation: see `rollback`.
        """
        if self.spec is not None and policy_id != self.policy_id and self._options.rollback:
            self._probation.begin(self.policy_id, self.spec)
        self._take_over(policy_id, spec)

    def _take_over(self, policy_id: str, spec: PolicySpec) -> None:
        self.policy_id, self.spec = policy_id, spec
        self._timeline.strategy = self._strategy(spec)
        if self._ingress is None:
            self._ingress = ChunkIngress(spec, policy_id, self._limits, self._config)
        else:
            self._ingress.set_policy(spec, policy_id)

    def clear(self, epoch: int, *, now_ns: int) -> None:
        """Forget everything; only observations newer than now (ROS time) count from here on."""
        self._timeline.clear(epoch)
        self._epoch_start_ns = now_ns
        self._lag_ns = 0.0
        self._stamps.clear()
        self._other_process = ''
        if self._ingress is not None:
            self._ingress.reset()

    def add(
        self,
        chunk: ActionChunk,
        *,
        command: Mapping[str, float] | None,
        executing: bool,
        ahead_ns: int = 0,
    ) -> str:
        """Let a chunk join; return why it does not, empty if it does.

        Args:
            chunk: The chunk; its `received_ns` is now.
            command: Last command by joint.
            executing: The policy has the robot.
            ahead_ns: As for `at`.
        """
        self._notice_restart(chunk)
        lag_ns = round(self._lag_ns)
        planned = chunk
        if lag_ns:
            planned = replace(
                chunk, stamp_ns=chunk.stamp_ns - lag_ns, received_ns=chunk.received_ns - lag_ns
            )
        if self._ingress is None:
            return self._reject('no policy is in charge yet')
        context = IngressContext(
            now_ns=chunk.received_ns,
            epoch=self._timeline.epoch,
            epoch_start_ns=self._epoch_start_ns,
            command=command,
            executing=executing,
            ahead_ns=ahead_ns,
            shift_ns=self._timeline.shift_of(planned),
            hold=self._timeline.interpolation is Interpolation.HOLD,
        )
        verdict = self._ingress.check(chunk, context)
        if verdict.verdict is Verdict.REJECT:
            check = verdict.findings[-1].check
            if check in _HARMLESS_CHECKS:
                return self._drop(check.value, verdict.text)
            return self._reject(verdict.text)
        if verdict.values is not None:
            planned = replace(planned, values=verdict.values)
        result = self._timeline.add(planned, supersede=True)
        if not result.accepted:
            if result in _HARMLESS:
                return self._drop(result.value, result.value)
            return self._reject(result.value)
        self.accepted += 1
        self._newest = planned
        self.newest_latency_s = (chunk.received_ns - chunk.stamp_ns) * 1e-9
        self._probation.passed()
        # All live chunks have the same kinds, the timeline sees to that.
        kinds = dict(zip(chunk.names, chunk.kinds, strict=True))
        self._rates = tuple(kinds[name] in RATE_KINDS for name in self._joints)
        self._stamps[chunk.sequence] = chunk.stamp_ns
        if len(self._stamps) > _REMEMBERED:
            self._stamps.popitem(last=False)
        return ''

    def newest_start(self) -> dict[str, float] | None:
        """Return the first action of the newest accepted chunk, without velocities, by name."""
        chunk = self._newest
        if chunk is None:
            return None
        actions = absolute_actions(chunk)[0]
        return {
            name: float(actions[i])
            for i, (name, kind) in enumerate(zip(chunk.names, chunk.kinds, strict=True))
            if kind in _PLACES
        }

    def malformed(self, text: str, *, now_ns: int) -> None:
        """Count a message that contradicts itself."""
        if self._ingress is not None:
            self._ingress.malformed(text, now_ns)
        self._reject(text)

    def forgive(self) -> None:
        """The operator has reset."""
        if self._ingress is not None:
            self._ingress.forgive()

    def flags(self, now_ns: int) -> Mapping[Flag, str]:
        """Return what the gate has to say (ROS time), and once what has just been noticed."""
        flags = {} if self._ingress is None else dict(self._ingress.flags(now_ns))
        if self._other_process:
            flags[Flag.INFERENCE_DOWN] = self._other_process
            self._other_process = ''
        return flags

    def _notice_restart(self, chunk: ActionChunk) -> None:
        """Find out that chunks come from a new inference process: it counts from the beginning.

        A plan that is back in time may bring the robot back, but not one of a process that has
        just been started. A chunk of an older epoch says nothing about what comes now, and one of
        the future would make all that follow look like new beginnings.
        """
        ahead_s = (chunk.stamp_ns - chunk.received_ns) * 1e-9
        if chunk.epoch != self._timeline.epoch or ahead_s > self._config.ahead_max_s:
            return
        came, self._came = self._came, (chunk.sequence, chunk.stamp_ns)
        if came is not None and chunk.sequence < came[0] and chunk.stamp_ns > came[1]:
            self._other_process = f'chunk {chunk.sequence} after chunk {came[0]}'

    def advance(self, wanted: float, dt_ns: int) -> None:
        """Let the policy's clock advance by one tick at the wanted speed, 0..1."""
        scale = self._pace.step(wanted, dt_ns * 1e-9)
        self._lag_ns += (1.0 - scale) * dt_ns

    def at(self, ros_ns: int, *, ahead_ns: int) -> PlanPoint | None:
        """Return what the plan wants a little ahead of now, None where no chunk says.

        Args:
            ros_ns: Now.
            ahead_ns: How long after now the next command acts. A rate that the policy gives stands
                for the time until then: it is that of now.
        """
        t_ns = ros_ns + ahead_ns - round(self._lag_ns)
        answer = self._timeline.at(t_ns)
        if not isinstance(answer, Setpoint):
            return None
        if self._order[0] != answer.names:
            self._order = (answer.names, tuple(answer.names.index(n) for n in self._joints))
        order = self._order[1]
        sequence = int(answer.chunk_sequences[-1])
        stamp = self._stamps.get(sequence)
        scale = self._pace.scale
        velocity = [float(answer.velocities[i]) for i in order]
        if ahead_ns and any(self._rates):
            now = self._timeline.at(t_ns - ahead_ns)
            if isinstance(now, Setpoint):
                for j, i in enumerate(order):
                    if self._rates[j]:
                        velocity[j] = float(now.velocities[i])
        return PlanPoint(
            position=tuple(float(answer.values[i]) for i in order),
            velocity=tuple(scale * v for v in velocity),
            rates=self._rates,
            sequence=sequence,
            chunks=len(answer.chunk_sequences),
            age_s=math.nan if stamp is None else (ros_ns - stamp) * 1e-9,
        )

    def remaining_s(self, ros_ns: int) -> float:
        """Return how long the plan lasts [s]."""
        return self._timeline.remaining_s(ros_ns - round(self._lag_ns))

    def prefix(self, ros_ns: int) -> CommittedPrefix | None:
        """Return the plan around now if the policy continues from it."""
        if self.spec is None or not accepts_prefix(self.spec):
            return None
        return self.committed(ros_ns, dt_ns=self.spec.dt_ns, steps=self.spec.chunk_size)

    def committed(self, ros_ns: int, *, dt_ns: int, steps: int) -> CommittedPrefix | None:
        """Return the plan around now for a policy that continues from it, None without plan.

        It begins a little in the past, where the next observation lies, if the plan reaches there.
        """
        lag_ns = round(self._lag_ns)
        for back in (_PREFIX_BACK_STEPS, 0):
            start_ns = ros_ns - back * dt_ns
            plan = self._timeline.committed(start_ns - lag_ns, steps + back, dt_ns=dt_ns)
            if plan is not None and len(plan.values):
                return replace(plan, stamp_ns=start_ns)
        return None

    def _strategy(self, spec: PolicySpec | None) -> Strategy:
        """Return the strategy; what the options leave open is as the policy says."""
        policy = PolicyDefaults()
        if spec is not None:
            policy = PolicyDefaults(
                n_action_steps=spec.n_action_steps, prefix_conditioned=accepts_prefix(spec)
            )
        return make_strategy(self._options.strategy, self._options.strategy_options, policy)

    def _drop(self, name: str, text: str) -> str:
        self.dropped[name] += 1
        return text

    def _reject(self, reason: str) -> str:
        self.rejected += 1
        self.last_rejection = reason
        back = self._probation.failed(self.policy_id, reason)
        if back is not None and self._ingress is not None:
            # What the old policy has planned goes on; the new one's chunks count no more.
            self._take_over(back.back_to, back.spec)
            self._ingress.forgive()
            self.rollback = back
        return reason
