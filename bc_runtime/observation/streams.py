# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The streams of one policy on one robot: a buffer, a way to align it, and limits each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.alignment import Alignment, AlignMode, Selection, Unserved, interpolate
from bc_runtime.observation.binding import (
    JOINT_STATES,
    anchor_joints,
    camera_stream,
    vector_inputs,
    vector_stream,
)
from bc_runtime.observation.columns import JointColumn, JointReader, Row, VectorReader
from bc_runtime.observation.content import same_picture
from bc_runtime.observation.image_types import Picture
from bc_runtime.observation.joint_presence import JointPresence
from bc_runtime.observation.plausibility import JointPlausibility
from bc_runtime.observation.reasons import Reason, ReasonCode, reason
from bc_runtime.observation.stream_buffer import Defect, Sample, StreamBuffer
from bc_runtime.spec.actions import ActionKind
from bc_runtime.spec.errors import ObservationError
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import RobotConfig, StreamConfig

#: A camera may answer with its newest frame until this part of a frame period has passed: up to
#: then no further frame can lie between that frame and the wanted time.
CAMERA_GRACE = 0.75
#: Codes of a stream that brings nothing (any more).
_NOTHING_COMES = frozenset({ReasonCode.MISSING, ReasonCode.STALE})


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream.

    Attributes:
        name: `joint_states`, `cameras/<name>` or `streams/<name>`.
        buffer: Samples; payloads are pictures, or rows of columns.
        frozen_ns: Same payload for longer than this is frozen; 0 never.
        reader: Makes rows of messages; None for cameras.
        continuous: Which columns are angles of continuous joints.
        presence: Which joints still come; None where the stream is not the joint states.
        plausible: Which joint states can be true; None as above.
    """

    name: str
    buffer: StreamBuffer[Any]
    alignment: Alignment
    frozen_ns: int = 0
    reader: JointReader | VectorReader | None = None
    continuous: NDArray[np.bool_] | None = None
    presence: JointPresence | None = None
    plausible: JointPlausibility | None = None

    @property
    def is_camera(self) -> bool:
        """Whether payloads are pictures."""
        return self.reader is None

    @property
    def columns(self) -> tuple[JointColumn | str, ...]:
        """The columns of its rows, in order; empty for cameras."""
        return () if self.reader is None else self.reader.columns

    def reach(self) -> int | None:
        """Return the last time at which the stream can be served [ns]; None without a sample."""
        newest = self.buffer.newest
        return None if newest is None else newest.stamp_ns + self.alignment.reach_ns

    def select(self, times_ns: Sequence[int]) -> list[Selection[Sample[Any]]] | Reason:
        """Return one selection per wanted time, oldest first, or why there is none."""
        selections = []
        for t_ns in times_ns:
            found = self.buffer.select(t_ns, self.alignment)
            if isinstance(found, Unserved):
                code = found.code
                if code in _NOTHING_COMES and (lack := self._lack()):
                    return lack
                if code is ReasonCode.SKEW and t_ns != times_ns[-1]:
                    facts = f'{found.text} (history, {(times_ns[-1] - t_ns) / 1e6:.1f} ms back)'
                else:
                    facts = found.text
                return reason(code, self.name, facts)
            for sample in (found.first, found.second):
                if sample is not None and isinstance(sample.payload, Defect):
                    return reason(sample.payload.code, self.name, sample.payload.text)
            selections.append(found)
        return selections

    def judge_clocks(self, now_ns: int | None, now_mono_ns: int | None) -> Reason | None:
        """Return whether the newest sample is too old, by its stamp or its arrival, or too new.

        The newest sample is judged, not the chosen one: a healthy stream is not to blame for an
        observation that another stream holds back.
        """
        sample, limit = self.buffer.newest, self.alignment.max_age_ns
        if sample is None:
            return None
        ages = []
        if now_ns is not None:
            ages.append((now_ns - sample.stamp_ns, 'by its stamp'))
        if now_mono_ns is not None and sample.arrival_ns is not None:
            ages.append((now_mono_ns - sample.arrival_ns, 'by its arrival'))
        for age_ns, clock in ages:
            if age_ns > limit:
                facts = (
                    f'its newest sample is {age_ns / 1e6:.1f} ms old {clock}, '
                    f'allowed are {limit / 1e6:.1f} ms'
                )
                if self._comes_in_vain(now_mono_ns):
                    facts += '; newer ones come, but their stamps stand still or go back'
                    return reason(ReasonCode.STAMPS, self.name, facts)
                return self._lack() or reason(ReasonCode.STALE, self.name, facts)
        if now_ns is not None and sample.stamp_ns - now_ns > self.alignment.max_skew_ns:
            return reason(
                ReasonCode.FUTURE,
                self.name,
                f'its stamp is {(sample.stamp_ns - now_ns) / 1e6:.1f} ms ahead of now',
            )
        return None

    def _lack(self) -> Reason | None:
        """Return why the joint states that come are of no use, if that is the matter."""
        why = self.presence.why_incomplete() if self.presence is not None else ''
        if why:
            return reason(ReasonCode.MISSING_JOINT, self.name, why)
        why = self.plausible.why if self.plausible is not None else ''
        return reason(ReasonCode.IMPLAUSIBLE, self.name, why) if why else None

    def _comes_in_vain(self, now_mono_ns: int | None) -> bool:
        """Return whether samples still arrive, with stamps of which none is of use."""
        refused_ns = self.buffer.refused_ns()
        if refused_ns is None or now_mono_ns is None:
            return False
        return now_mono_ns - refused_ns <= self.alignment.max_age_ns

    def judge_content(self, selection: Selection[Sample[Any]]) -> Reason | None:
        """Return whether the chosen sample is frozen."""
        sample = selection.newest
        if self.frozen_ns and sample.unchanged_ns > self.frozen_ns:
            return reason(
                ReasonCode.FROZEN,
                self.name,
                f'the same pixels for {sample.unchanged_ns / 1e9:.2f} s under new stamps, '
                f'allowed are {self.frozen_ns / 1e9:.2f} s',
            )
        return None

    def rows(self, selections: Iterable[Selection[Sample[Row]]]) -> NDArray[np.float64]:
        """Return the columns at the wanted times, (steps, columns)."""
        result = []
        for selection in selections:
            first = selection.first.payload
            second = None if selection.second is None else selection.second.payload
            if isinstance(first, Defect) or isinstance(second, Defect):
                raise TypeError(f'{self.name}: a defective sample was selected')
            if second is None:
                result.append(first)
            else:
                result.append(interpolate(first, second, selection.weight, self.continuous))
        return np.stack(result)


def make_streams(
    spec: PolicySpec,
    robot: RobotConfig,
    *,
    history_ns: int,
    overrides: Mapping[str, Alignment],
    horizon_ns: int | None,
) -> dict[str, Stream]:
    """Return the streams of a bound policy, by name.

    Args:
        spec: The policy.
        robot: The robot; everything the policy names exists in it (see `bind`).
        history_ns: Span of the policy's history.
        overrides: Alignments that replace the defaults, by stream name.
        horizon_ns: How far back samples are kept, if not what the limits need.
    """
    streams: dict[str, Stream] = {}
    grippers = {
        name for one in spec.actions if one.kind is ActionKind.GRIPPER for name in one.names
    }

    def add(
        name: str,
        config: StreamConfig,
        mode: AlignMode,
        *,
        grace_ns: int = 0,
        frozen_s: float = 0.0,
        reader: JointReader | VectorReader | None = None,
        continuous: NDArray[np.bool_] | None = None,
    ) -> None:
        max_age_ns, max_skew_ns = _ns(config.max_age_s), _ns(config.max_skew_s)
        buffer: StreamBuffer[Any] = StreamBuffer(
            # The wanted time lags behind a stream by as much as the slowest stream may be old.
            horizon_ns=horizon_ns or history_ns + max_age_ns + max_skew_ns + _slowest_ns(robot),
            latency_ns=_ns(config.latency_s),
            same=_same if reader is None and frozen_s > 0.0 else None,
        )
        default = Alignment(
            mode=mode, max_skew_ns=max_skew_ns, max_age_ns=max_age_ns, grace_ns=grace_ns
        )
        streams[name] = Stream(
            name=name,
            buffer=buffer,
            alignment=overrides.get(name, default),
            frozen_ns=_ns(frozen_s),
            reader=reader,
            continuous=continuous,
        )
        if isinstance(reader, JointReader):
            streams[name].presence = JointPresence(reader.joints, max_age_ns)
            streams[name].plausible = plausible = JointPlausibility(robot, reader.joints)
            plausible.watch(
                [one not in grippers and not robot.joint(one).gripper for one in reader.joints]
            )

    columns = joint_columns(spec, robot)
    if columns:
        continuous = np.array(
            [c.quantity == 'position' and robot.joint(c.joint).continuous for c in columns]
        )
        add(
            JOINT_STATES,
            robot.joint_states,
            AlignMode.INTERPOLATE,
            reader=JointReader(columns),
            continuous=continuous,
        )
    for name in dict.fromkeys(item.camera for item in spec.image_inputs):
        camera = robot.cameras[name]
        grace_ns = _ns(CAMERA_GRACE / camera.rate_hz)
        add(
            camera_stream(name),
            camera,
            AlignMode.LAST_BEFORE,
            grace_ns=grace_ns,
            frozen_s=camera.frozen_s,
        )
    for name in dict.fromkeys(item.stream for item in vector_inputs(spec)):
        vector = robot.streams[name]
        names = dict.fromkeys(
            each for item in vector_inputs(spec) if item.stream == name for each in item.names
        )
        add(
            vector_stream(name),
            vector,
            AlignMode.LAST_BEFORE,
            reader=VectorReader(tuple(names), fields=tuple(vector.fields)),
        )
    return streams


def joint_columns(spec: PolicySpec, robot: RobotConfig) -> tuple[JointColumn, ...]:
    """Return every number of the joint states that the policy or its relative actions need."""
    wanted = [
        JointColumn(quantity=item.quantity, joint=joint)
        for item in spec.state_inputs
        for joint in item.joints
    ]
    wanted += [JointColumn(quantity='position', joint=j) for j in anchor_joints(spec, robot)]
    return tuple(dict.fromkeys(wanted))


def choose_stamp(config: StreamConfig, *, header_ns: int | None, received_ns: int) -> int:
    """Return the stamp to push, as `clock` of the stream in the robot YAML says.

    Args:
        config: The stream.
        header_ns: Stamp in the message's header, ROS time; None if its type has no header.
        received_ns: ROS time when the message was received.

    Raises:
        ObservationError: the clock is `header`, and the message has none.
    """
    if config.clock == 'arrival':
        return received_ns
    if header_ns is None:
        raise ObservationError(
            f'the messages on {config.topic!r} have no header: '
            'set `clock: arrival` for this stream in the robot YAML'
        )
    return header_ns


def _slowest_ns(robot: RobotConfig) -> int:
    configs: list[StreamConfig] = [robot.joint_states]
    configs += list(robot.cameras.values())
    configs += list(robot.streams.values())
    return max(_ns(config.max_age_s) for config in configs)


def _same(first: Picture, second: Picture) -> bool:
    return same_picture(first, second)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
