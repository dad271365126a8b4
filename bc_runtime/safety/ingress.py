# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of an action chunk on receipt, before it may join the plan.

    E1 policy and format   policy id; names, kinds, references, shape, step
    E2 finite              one NaN rejects the chunk; the old plan goes on
    E4 epoch               chunks of an older epoch are void
    E5 order               the observation is newer than the epoch, not older than the last one's,
                           and not from the future
    E6 age                 enough of the chunk still lies in the future
    E3 training range      actions near what the policy was trained to give
    E7 splice              the action for now is near the present command

They are made in this order, and the first that rejects ends them. Each judges what will be
executed: E7 takes the values as clipped, at the time at which the plan will read them. What a
failed check does is a parameter: reject, clip, warn or nothing. A NaN must be stopped here: it
passes through chains of min and max, and Python's max(-1, min(1, nan)) even gives +1, the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import pi, remainder

import numpy as np
from numpy.typing import NDArray

from bc_runtime.safety.flags import Flag
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
from bc_runtime.safety.limits import JointLimits
from bc_runtime.spec.actions import ActionKind, Reference
from bc_runtime.spec.policy_spec import PolicySpec

#: Kinds that have a place which the command can be compared with. A gripper is not among them:
#: policies open and close it in one step, and the limiter makes a ramp of that.
_PLACES = frozenset({ActionKind.JOINT_POSITION, ActionKind.CONTINUOUS_JOINT})
#: Kinds that are never clipped: their numbers only make sense together.
_UNCLIPPED = frozenset({ActionKind.QUATERNION, ActionKind.ROTATION_6D, ActionKind.AXIS_ANGLE})
#: Rejections that say that something is wrong, rather than merely late or of another epoch.
_COUNTED = frozenset({Check.FORMAT, Check.FINITE, Check.AHEAD, Check.RANGE, Check.SPLICE})
#: After so many chunks in a row that are older than the newest one, but in order among themselves,
#: the stamp of that one was wrong, or the sender's clock was set back.
_STEPPED_BACK_AFTER = 3
#: Steps of chunks may differ by this rounding [ns].
_STEP_ROUNDING_NS = 1_000
_DEFAULT = IngressConfig()


class ChunkIngress:
    """Check chunks one after the other; see the module's docstring.

    Args:
        spec: Spec of the active policy.
        policy_id: Id of the active policy (sha256 of its file).
        limits: Limits of the robot's joints; dimensions that are no joint have no E7.
        config: Parameters.
    """

    def __init__(
        self,
        spec: PolicySpec,
        policy_id: str,
        limits: Sequence[JointLimits],
        config: IngressConfig = _DEFAULT,
    ) -> None:
        self.config = config
        self._jump = {
            one.name: one.velocity * config.jump_max_s for one in limits if not one.gripper
        }
        self._turning = frozenset(one.name for one in limits if one.continuous)
        self.accepted = 0
        """Chunks accepted since the beginning."""
        self.rejected = 0
        """Chunks rejected since the beginning."""
        self.counts: Counter[Check] = Counter()
        """Failures by check, also those that only warn."""
        self._flags: dict[Flag, tuple[int, str]] = {}
        self.set_policy(spec, policy_id)

    def set_policy(self, spec: PolicySpec, policy_id: str) -> None:
        """Take chunks of another policy from now on."""
        self._spec = spec
        self._policy_id = policy_id
        self._names = spec.action_names
        low, high = [], []
        for name, kind in zip(spec.action_names, spec.action_kinds, strict=True):
            known = spec.training_ranges.get(f'action.{name}')
            if known is None or kind in _UNCLIPPED:
                low.append(-np.inf)
                high.append(np.inf)
            else:
                # A dimension that never moved in training still gets a sliver.
                room = self.config.range_tolerance * (known.maximum - known.minimum) + 1e-6
                low.append(known.minimum - room)
                high.append(known.maximum + room)
        self._low = np.asarray(low, dtype=np.float32)
        self._high = np.asarray(high, dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """A new epoch began: what came before does not count."""
        self._last: tuple[int, int] | None = None
        self._late_ns, self._late = 0, 0
        self._in_a_row = 0
        self._malformed_in_a_row = 0

    def forgive(self) -> None:
        """The operator has reset: what was wrong until now raises no flag any more."""
        self._flags = {}
        self._in_a_row = self._malformed_in_a_row = 0

    def check(self, chunk: ChunkLike, context: IngressContext) -> IngressResult:
        """Judge a chunk; an accepted one becomes the one that the next must not be older than."""
        findings: list[Finding] = []
        values: NDArray[np.float32] | None = None
        for check, text in self._problems(chunk, context):
            choice = self.config.on_failure[check]
            if choice is OnFailure.OFF:
                continue
            self.counts[check] += 1
            findings.append(Finding(check=check, on_failure=choice, text=text))
            if choice is OnFailure.REJECT:
                return self._reject(findings, context.now_ns)
            if choice is OnFailure.CLIP:
                values = self._clipped(chunk)
                values.setflags(write=False)
        self.accepted += 1
        self._in_a_row = self._malformed_in_a_row = 0
        self._last = (chunk.stamp_ns, chunk.sequence)
        self._late = 0
        verdict = Verdict.ACCEPT if values is None else Verdict.ACCEPT_CLIPPED
        return IngressResult(verdict=verdict, values=values, findings=tuple(findings))

    def malformed(self, text: str, now_ns: int) -> IngressResult:
        """Count a message that could not even be read as a chunk.

        Args:
            text: What was wrong with it.
            now_ns: ROS time [ns].
        """
        self.counts[Check.FORMAT] += 1
        finding = Finding(check=Check.FORMAT, on_failure=OnFailure.REJECT, text=text)
        return self._reject([finding], now_ns)

    def flags(self, now_ns: int) -> Mapping[Flag, str]:
        """Return the flags to raise now: CHUNK_REJECTED, and more after several in a row.

        Args:
            now_ns: ROS time [ns].
        """
        hold = round(self.config.flag_s * 1e9)
        # A clock that went backwards must not keep a flag up for ever.
        self._flags = {
            flag: (at, text) for flag, (at, text) in self._flags.items() if 0 <= now_ns - at < hold
        }
        return {flag: text for flag, (_, text) in self._flags.items()}

    # -- inside -------------------------------------------------------------------------------

    def _reject(self, findings: list[Finding], now_ns: int) -> IngressResult:
        self.rejected += 1
        last = findings[-1]
        result = IngressResult(verdict=Verdict.REJECT, findings=tuple(findings))
        if last.check not in _COUNTED:
            return result
        self._flags[Flag.CHUNK_REJECTED] = (now_ns, result.text)
        self._in_a_row += 1
        self._malformed_in_a_row += last.check is Check.FORMAT
        if self._malformed_in_a_row >= self.config.in_a_row:
            self._flags[Flag.CHUNKS_MALFORMED] = (now_ns, result.text)
            self._in_a_row = self._malformed_in_a_row = 0
        elif self._in_a_row >= self.config.in_a_row:
            self._flags[Flag.CHUNKS_REJECTED] = (now_ns, result.text)
            self._in_a_row = self._malformed_in_a_row = 0
        return result

    def _problems(self, chunk: ChunkLike, context: IngressContext) -> Iterator[tuple[Check, str]]:
        """Give the failed checks in order; what needs a well-formed chunk comes after E1, E2."""
        if chunk.policy_id != self._policy_id:
            given, active = chunk.policy_id[:12], self._policy_id[:12]
            yield Check.POLICY, f'chunk of policy {given!r}, active is {active!r}'
            return
        problem = self._format(chunk)
        if problem:
            yield Check.FORMAT, problem
            return
        finite = np.isfinite(chunk.values)
        if not finite.all():
            k, d = (int(index) for index in np.argwhere(~finite)[0])
            yield Check.FINITE, f'{chunk.values[k, d]} for {self._names[d]} at step {k}'
            return
        for check, judge in (
            (Check.EPOCH, self._epoch),
            (Check.ORDER, self._order),
            (Check.AHEAD, self._ahead),
            (Check.AGE, self._age),
        ):
            text = judge(chunk, context)
            if text:
                yield check, text
        values, text = chunk.values, self._range(chunk)
        if text:
            yield Check.RANGE, text
            if self.config.on_failure[Check.RANGE] is OnFailure.CLIP:
                values = self._clipped(chunk)
        text = self._splice(chunk, values, context)
        if text:
            yield Check.SPLICE, text

    def _clipped(self, chunk: ChunkLike) -> NDArray[np.float32]:
        return np.clip(chunk.values, self._low, self._high)

    def _format(self, chunk: ChunkLike) -> str:
        spec = self._spec
        shape = (spec.chunk_size, len(self._names))
        if tuple(chunk.names) != self._names:
            return f'expected the actions {list(self._names)}, got {list(chunk.names)}'
        if chunk.values.shape != shape:
            return f'expected shape {shape}, got {chunk.values.shape}'
        if tuple(chunk.kinds) != spec.action_kinds:
            return f'expected the kinds {list(spec.action_kinds)}, got {list(chunk.kinds)}'
        references = tuple(chunk.references) or (Reference.ABSOLUTE,) * len(self._names)
        if references != spec.action_references:
            return (
                f'expected the references {list(spec.action_references)}, got {list(references)}'
            )
        if abs(chunk.dt_ns - spec.dt_ns) > _STEP_ROUNDING_NS:
            return f'expected a step of {spec.dt_ns} ns, got {chunk.dt_ns}'
        if chunk.stamp_index != spec.stamp_index:
            return f'expected stamp_index {spec.stamp_index}, got {chunk.stamp_index}'
        anchor = chunk.anchor or {}
        missing = [
            name
            for name, reference in zip(self._names, references, strict=True)
            if reference != Reference.ABSOLUTE and name not in anchor
        ]
        return f'no anchor for the relative actions {missing}' if missing else ''

    def _epoch(self, chunk: ChunkLike, context: IngressContext) -> str:
        if chunk.epoch == context.epoch:
            return ''
        return f'chunk of epoch {chunk.epoch}, present is {context.epoch}'

    def _order(self, chunk: ChunkLike, context: IngressContext) -> str:
        if chunk.stamp_ns <= context.epoch_start_ns:
            before = (context.epoch_start_ns - chunk.stamp_ns) * 1e-9
            return f'its observation is {before:.3f} s older than the resume'
        if self._last is None or chunk.stamp_ns > self._last[0]:
            return ''
        if chunk.stamp_ns < self._last[0]:
            in_order = self._late and chunk.stamp_ns > self._late_ns
            self._late, self._late_ns = self._late + 1 if in_order else 1, chunk.stamp_ns
            if self._late >= _STEPPED_BACK_AFTER:
                return ''
            before = (self._last[0] - chunk.stamp_ns) * 1e-9
            return f'its observation is {before:.3f} s older than that of the chunk before'
        return f'chunk {chunk.sequence} came twice' if chunk.sequence == self._last[1] else ''

    def _ahead(self, chunk: ChunkLike, context: IngressContext) -> str:
        ahead = (chunk.stamp_ns - context.now_ns) * 1e-9
        if ahead <= self.config.ahead_max_s:
            return ''
        return (
            f'its observation is stamped {ahead:.3f} s ahead of now, allowed are '
            f'{self.config.ahead_max_s:.3f} s; see the clocks of the machines'
        )

    def _age(self, chunk: ChunkLike, context: IngressContext) -> str:
        last = chunk.stamp_ns + (chunk.values.shape[0] - 1 - chunk.stamp_index) * chunk.dt_ns
        left = (last - context.now_ns) * 1e-9
        if left >= self.config.age_margin_s:
            return ''
        return (
            f'its last action is {left:.3f} s ahead, needed {self.config.age_margin_s:.3f} s; '
            f'inference takes longer than the chunk lasts'
        )

    def _range(self, chunk: ChunkLike) -> str:
        values = chunk.values
        outside = ((values < self._low) | (values > self._high)).any(axis=0)
        if not outside.any():
            return ''
        return ', '.join(
            f'{self._names[d]} in [{values[:, d].min():.4g}, {values[:, d].max():.4g}], trained '
            f'[{self._low[d]:.4g}, {self._high[d]:.4g}]'
            for d in np.flatnonzero(outside)
        )

    def _splice(
        self, chunk: ChunkLike, values: NDArray[np.float32], context: IngressContext
    ) -> str:
        if not context.executing or context.command is None:
            return ''
        last = values.shape[0] - 1
        read_ns = context.now_ns + context.ahead_ns - context.shift_ns
        at = (read_ns - chunk.stamp_ns) / chunk.dt_ns + chunk.stamp_index
        at = min(max(at, 0.0), float(last))
        k = min(int(at), last) if context.hold else min(int(at), max(last - 1, 0))
        share = 0.0 if context.hold else at - k
        far = []
        for d, name in enumerate(self._names):
            kind = self._spec.action_kinds[d]
            if kind not in _PLACES or name not in context.command or name not in self._jump:
                continue
            here = float(values[k, d])
            place = here + share * (float(values[min(k + 1, last), d]) - here)
            if self._spec.action_references[d] is not Reference.ABSOLUTE:
                place += (chunk.anchor or {})[name]
            gap = place - context.command[name]
            if kind is ActionKind.CONTINUOUS_JOINT or name in self._turning:
                gap = remainder(gap, 2.0 * pi)
            if abs(gap) > self._jump[name]:
                far.append(f'{name} jumps by {gap:.3g}, allowed {self._jump[name]:.3g}')
        return ', '.join(far)
