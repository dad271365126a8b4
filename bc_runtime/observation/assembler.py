# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ObservationAssembler: samples in, in any interleaving; the policy's inputs at one time out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
import threading
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from bc_runtime.observation.ahead import DecodeAhead
from bc_runtime.observation.alignment import Alignment, AlignMode, history_times
from bc_runtime.observation.binding import (
    JOINT_STATES,
    StreamKind,
    StreamRequest,
    bind,
    camera_stream,
    vector_stream,
)
from bc_runtime.observation.columns import JointReader, VectorReader
from bc_runtime.observation.errors import UnknownStream
from bc_runtime.observation.image_types import Picture
from bc_runtime.observation.instruction import INSTRUCTION, InstructionSlot
from bc_runtime.observation.observation import Observation, make_report
from bc_runtime.observation.plausibility import Verdict
from bc_runtime.observation.reasons import Reason, ReasonCode, reason
from bc_runtime.observation.stream_buffer import Defect, PushResult, StreamCounters
from bc_runtime.observation.streams import Stream, make_streams
from bc_runtime.observation.tensors import Made, Selections, TensorMaker
from bc_runtime.spec.errors import ObservationError, available
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.robot_config import RobotConfig

HISTORY_STARTS = ('wait', 'repeat_first')


class ObservationAssembler:
    """Aligns every stream of the robot at one ROS time and makes the policy's tensors.

    Samples may be pushed from any thread while another assembles: pushes wait for the choice of
    samples at most, never for the decoding of pictures.

    Args:
        spec: The policy.
        robot: The robot that it runs on.
        alignments: Replaces the default alignment of streams, by stream name. Defaults: joint
            states are interpolated; cameras give the last frame at or before the time; vector
            streams give the last sample at or before the time. See docs/reference/observation.md.
        history_start: What to do while the streams do not reach back to the start of the history:
            `wait` (not valid, HISTORY) or `repeat_first` (times before the first observation, or
            before `start_episode`, count as that time, as LeRobot and robomimic do at the first
            step of an episode).
        horizon_s: How far back samples are kept; default is what the limits in the robot YAML
            need. Offline users who push far ahead of `assemble` set it.

        by_stamps: Judge also without times of arrival, by the stamps, whether joint states can
            be true: what is replayed as it was observed live. Live, they always are judged.

    Raises:
        BindingError: the policy names joints, cameras or streams that the robot does not have.
    """

    def __init__(
        self,
        *,
        spec: PolicySpec,
        robot: RobotConfig,
        alignments: Mapping[str, Alignment] | None = None,
        history_start: str = 'wait',
        horizon_s: float | None = None,
        by_stamps: bool = False,
    ) -> None:
        if history_start not in HISTORY_STARTS:
            raise ObservationError(
                f'history_start: expected {" or ".join(HISTORY_STARTS)}, got {history_start!r}'
            )
        self.spec = spec
        self.robot = robot
        self.streams: Mapping[str, StreamRequest] = bind(spec, robot)
        overrides = dict(alignments or {})
        unknown = [name for name in overrides if name not in self.streams]
        if unknown:
            raise ObservationError(
                f'alignments: no stream {available(unknown)}; streams: {available(self.streams)}'
            )
        for name, wanted in overrides.items():
            camera = self.streams[name].kind is StreamKind.CAMERA
            if camera and wanted.mode is AlignMode.INTERPOLATE:
                raise ObservationError(
                    f'alignments: pictures cannot be interpolated ({name!r}); '
                    'use last_before or nearest'
                )
        self._streams = make_streams(
            spec,
            robot,
            history_ns=round((spec.n_obs_steps - 1) * 1e9 / spec.control_hz),
            overrides=overrides,
            horizon_ns=None if horizon_s is None else round(horizon_s * 1e9),
        )
        self._instruction = InstructionSlot(spec.instruction_inputs)
        self._by_stamps = by_stamps
        self._repeat_first = history_start == 'repeat_first'
        self._episode_ns: int | None = None
        self._lock = threading.Lock()  # guards buffers, instruction and episode start
        self._assembling = threading.Lock()  # guards the tensor maker: one assembly at a time
        self._maker = TensorMaker(spec, self._streams)
        self._ahead = DecodeAhead(
            {
                camera_stream(name): (name, round(1e9 / camera.rate_hz))
                for name, camera in robot.cameras.items()
            }
        )

    # Taking samples in

    def push_joint_state(
        self,
        *,
        stamp_ns: int,
        arrival_ns: int | None,
        names: Sequence[str],
        position: ArrayLike,
        velocity: ArrayLike = (),
        effort: ArrayLike = (),
    ) -> PushResult:
        """Take one joint state; joints are found by name, their order may change.

        One that no joint could have got to since the one before is passed over (IMPLAUSIBLE). When
        such states last, the robot has been put elsewhere; nothing is interpolated across that.

        Args:
            stamp_ns: ROS time: the header's stamp, or the time of receipt where the robot YAML
                says `clock: arrival` (see `choose_stamp`).
            arrival_ns: Time of arrival, monotonic clock, so that `assemble` can judge the age by
                it too; None offline.
            names: Joint names; more than the policy needs are fine. A message about other joints
                only is another publisher's (NOT_NEEDED). One without all joints is no sample
                (MISSING_JOINT); where no complete one comes, observations say what is missing.
            position: One value per name [rad or m]; likewise velocity and effort. Only what the
                policy needs is read, and must be finite (NOT_FINITE).
            velocity: [rad/s or m/s].
            effort: [N m or N].
        """
        stream = self._streams.get(JOINT_STATES)
        if stream is None:
            return PushResult.NOT_NEEDED
        reader, presence = stream.reader, stream.presence
        if not isinstance(reader, JointReader) or presence is None:
            raise TypeError(f'{stream.name} has no joint reader')
        with self._lock:
            if not presence.is_foreign(names):
                if presence.see(names, stamp_ns):
                    row = reader.read(names, position, velocity, effort)
                    if not self._can_be(stream, reader, stamp_ns, arrival_ns, names, position):
                        stream.buffer.counters.implausible += 1
                        return PushResult.IMPLAUSIBLE
                    result = _push(stream, stamp_ns, arrival_ns, row)
                    if result is PushResult.CLOCK_STEPPED_BACK and stream.plausible is not None:
                        stream.plausible.reset()
                    return result
                stream.buffer.counters.partial += 1
                return PushResult.MISSING_JOINT
            stream.buffer.counters.foreign += 1
            return PushResult.NOT_NEEDED

    def _can_be(
        self,
        stream: Stream,
        reader: JointReader,
        stamp_ns: int,
        arrival_ns: int | None,
        names: Sequence[str],
        position: ArrayLike,
    ) -> bool:
        """Return whether the joints can have got to where a joint state says that they are."""
        values = np.asarray(position, dtype=np.float64)
        if stream.plausible is None or values.shape != (len(names),):
            return True
        if arrival_ns is None and not self._by_stamps:
            return True
        if not stream.buffer.is_newer(stamp_ns):
            return True  # the buffer says what becomes of it
        at = dict(zip(names, values.tolist(), strict=True))
        places = [at[joint] for joint in reader.joints]
        if not all(map(math.isfinite, places)):
            return True
        verdict = stream.plausible.judge(places, stamp_ns=stamp_ns, arrival_ns=arrival_ns)
        if verdict is Verdict.JUMPED:
            # Nothing lies between where it was and where it was put.
            defect = Defect(code=ReasonCode.IMPLAUSIBLE, text='the robot was put elsewhere')
            stream.buffer.push(stamp_ns - 1, arrival_ns, defect)
        return verdict is not Verdict.REFUSED

    def push_image(
        self,
        camera: str,
        *,
        stamp_ns: int,
        arrival_ns: int | None,
        image: Picture,
    ) -> PushResult:
        """Take one picture, undecoded; its data must not be changed afterwards.

        Raises:
            UnknownStream: the policy does not use this camera.
        """
        stream = self._stream(camera_stream(camera))
        with self._lock:
            return _push(stream, stamp_ns, arrival_ns, image)

    def push_vector(
        self,
        stream: str,
        *,
        stamp_ns: int,
        arrival_ns: int | None,
        values: Mapping[str, float] | Sequence[float] | Defect,
    ) -> PushResult:
        """Take one message of a vector stream.

        Args:
            stream: Name in the robot YAML.
            stamp_ns: As for joint states; likewise arrival_ns.
            arrival_ns: Monotonic clock, None offline.
            values: By field name, or one per field in the order of the robot YAML; or why the
                message has none.

        Raises:
            UnknownStream: the policy does not use this stream.
        """
        found = self._stream(vector_stream(stream))
        if not isinstance(found.reader, VectorReader):
            raise TypeError(f'{found.name} has no vector reader')
        row = values if isinstance(values, Defect) else found.reader.read(values)
        with self._lock:
            return _push(found, stamp_ns, arrival_ns, row)

    def set_instruction(self, text: str) -> None:
        """Take an instruction; an empty one clears it.

        Raises:
            UnknownInstruction: lists the instructions that the policy knows. Until a known one
                comes, no observation is valid.
        """
        with self._lock:
            self._instruction.set(text)

    def start_episode(self, t_ns: int) -> None:
        """Say when the episode starts; only `repeat_first` makes use of it."""
        with self._lock:
            self._episode_ns = t_ns

    def adopt(self, other: ObservationAssembler) -> None:
        """Take over the samples of another policy's assembler, where both read a stream alike.

        A policy that looks back then need not wait until its history has come once more.
        """
        with other._lock, self._lock:
            for name, stream in self._streams.items():
                old = other._streams.get(name)
                if old is not None and old.columns == stream.columns:
                    stream.buffer.adopt(old.buffer)
                    stream.plausible = old.plausible

    def clear(self) -> None:
        """Forget every sample, e.g. when simulated time jumped back; the instruction stays."""
        with self._lock:
            for stream in self._streams.values():
                stream.buffer.clear()
                if stream.plausible is not None:
                    stream.plausible.reset()
            self._episode_ns = None

    # Giving observations out

    def reference_time(self) -> int | None:
        """Return the newest time worth observing, ROS time [ns]; None if a stream has no sample.

        It is the stamp of the newest camera frame (without cameras: joint state or vector sample)
        at which every stream can be served, so that the camera that set it has no skew and the
        joints are interpolated to it. It never runs backwards while stamps advance.
        """
        with self._lock:
            ends = [stream.reach() for stream in self._streams.values()]
            known = [end for end in ends if end is not None]
            if not known or len(known) < len(ends):
                return None
            bound = min(known)
            stamps = [s.buffer.stamp_at_or_before(bound) for s in self._anchors()]
            return max((stamp for stamp in stamps if stamp is not None), default=bound)

    def prepare(self, due_ns: int) -> None:
        """Decode the frames that the next observation will use, as far as they are there.

        Between two observations there is time; after the last frame has come there is none. The
        answer of `assemble` is the same with and without.

        Args:
            due_ns: The next observation is made at the first reference time from here on.

        For one `due_ns` at most one frame of each camera is decoded ahead, so that a camera whose
        frames come at no steady rate costs no more than one decode too many per observation.
        """
        with self._lock:
            frames = self._ahead.choose(due_ns, self._streams.values())
        if not frames:
            return
        with self._assembling:
            for camera, sample in frames:
                self._maker.prepare(camera, sample)

    def assemble(
        self, t_ns: int, *, now_ns: int | None = None, now_mono_ns: int | None = None
    ) -> Observation:
        """Make the observation at a time; its tensors depend on `t_ns` and the samples alone.

        Args:
            t_ns: ROS time, usually `reference_time()`; if that is None, now, to get the reasons.
            now_ns: ROS time now; with it, streams and observation are judged by their stamps.
            now_mono_ns: Monotonic time now; with it, streams are judged by their arrival.

        Returns:
            An observation that is valid, or says why it is not. Nothing is filled in.
        """
        with self._assembling:
            with self._lock:
                times = self._times(t_ns)
                chosen = {name: s.select(times) for name, s in self._streams.items()}
                newest = {name: s.buffer.newest for name, s in self._streams.items()}
                words, instruction, complaint = self._instruction.read()
                reasons = self._complaints(t_ns, chosen, now_ns, now_mono_ns)
            if complaint is not None:
                reasons.append(complaint)
            made = Made()
            good = {name: s for name, s in chosen.items() if not isinstance(s, Reason)}
            if not reasons:
                made = self._maker.make(good)
                made.tensors.update(instruction)
                reasons = made.reasons
            tensors = {} if reasons else made.tensors
            reports = [
                make_report(
                    name,
                    good.get(name),
                    newest[name],
                    t_ns if now_ns is None else now_ns,
                    [*reasons, *made.warnings],
                )
                for name in self._streams
            ]
            if complaint is not None or instruction:
                reports.append(make_report(INSTRUCTION, None, None, 0, reasons))
            return Observation(
                stamp_ns=t_ns,
                tensors=MappingProxyType(
                    {i.name: tensors[i.name] for i in self.spec.inputs if i.name in tensors}
                ),
                valid=not reasons,
                reasons=tuple(reasons),
                warnings=tuple(made.warnings),
                streams=tuple(reports),
                instruction=words,
                anchor=MappingProxyType({} if reasons else made.anchor),
            )

    def counters(self) -> dict[str, StreamCounters]:
        """Return what became of all samples, by stream name (copies)."""
        with self._lock:
            return {name: s.buffer.counters.copy() for name, s in self._streams.items()}

    def _stream(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            raise UnknownStream(
                f'the policy {self.spec.name!r} does not use {name!r}; '
                f'it uses: {available(self.streams)}'
            )
        return stream

    def _anchors(self) -> list[Stream]:
        streams = list(self._streams.values())
        return [stream for stream in streams if stream.is_camera] or streams

    def _times(self, t_ns: int) -> tuple[int, ...]:
        times = history_times(t_ns, self.spec.n_obs_steps, self.spec.control_hz)
        if not self._repeat_first:
            return times
        starts = [s.buffer.first_stamp_ns for s in self._streams.values()]
        starts.append(self._episode_ns)
        known = [start for start in starts if start is not None]
        if not known:
            return times
        first = min(max(known), t_ns)
        return tuple(max(each, first) for each in times)

    def _complaints(
        self,
        t_ns: int,
        chosen: Mapping[str, Selections | Reason],
        now_ns: int | None,
        now_mono_ns: int | None,
    ) -> list[Reason]:
        reasons = []
        for name, stream in self._streams.items():
            selections = chosen[name]
            found = stream.judge_clocks(now_ns, now_mono_ns)
            if found is None and isinstance(selections, Reason):
                found = selections
            elif found is None and not isinstance(selections, Reason):
                found = stream.judge_content(selections[-1])
            if found is not None:
                reasons.append(found)
        # A time that some stream has not reached yet is no fault while another stream is at fault.
        faults = [each for each in reasons if each.code is not ReasonCode.NOT_YET]
        if faults or reasons or now_ns is None or not self._streams:
            return faults or reasons
        limit_ns = round(self.robot.tolerances.max_observation_age_s * 1e9)
        if now_ns - t_ns > limit_ns:
            slowest = min(self._streams.values(), key=lambda s: s.reach() or t_ns)
            facts = (
                f'the observation is {(now_ns - t_ns) / 1e6:.1f} ms old because of this stream, '
                f'allowed are {limit_ns / 1e6:.1f} ms'
            )
            return [reason(ReasonCode.STALE, slowest.name, facts)]
        return []


def _push(stream: Stream, stamp_ns: int, arrival_ns: int | None, payload: object) -> PushResult:
    result = stream.buffer.push(stamp_ns, arrival_ns, payload)
    if isinstance(payload, Defect) and result is PushResult.ACCEPTED:
        return PushResult(payload.code.value)
    return result
