# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag says about one episode, as arrays over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.reader import BagReader
from bc_runtime.recording.topic import IMAGE_TYPES

STATUS = 'bc_msgs/msg/ControllerStatus'
CHUNK = 'bc_msgs/msg/ActionChunk'
OBSERVATION_STATUS = 'bc_msgs/msg/ObservationStatus'
STATE_EVENT = 'bc_msgs/msg/StateEvent'
POLICY_INFO = 'bc_msgs/msg/PolicyInfo'
JOINT_STATE = 'sensor_msgs/msg/JointState'

SOURCE_POLICY = 1  # bc_msgs/ControllerStatus

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """The controller's ticks; arrays of shape (ticks,).

    Attributes:
        t_s: Time since the start of the bag [s], ROS clock.
        number: Ticks since activation; differences tell the rate even if messages were lost.
        missed: Deadlines without a tick, since activation.
        lateness_s: Start of a tick minus its deadline [s].
        latency_s: Tick minus observation stamp at the first command from a chunk, else NaN [s].
        starved: Ticks in AUTO without a chunk, since activation.
        states: Supervisor state of each tick.
    """

    t_s: Floats
    number: Ints
    missed: Ints
    lateness_s: Floats
    latency_s: Floats
    source: Ints
    limiter_flags: Ints
    starved: Ints
    chunk_sequence: Ints
    chunks_accepted: Ints
    chunks_rejected: Ints
    tracking_error: Floats
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One predicted piece of trajectory.

    Attributes:
        t_s: Times that the actions are meant for, shape (chunk_size,) [s since bag start].
        values: Shape (chunk_size, action_dim), in `units`.
    """

    sequence: int
    t_s: Floats
    values: Floats
    names: tuple[str, ...]
    units: tuple[str, ...]
    relative: tuple[bool, ...]
    inference_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSeries:
    """Positions over time.

    Attributes:
        t_s: Shape (samples,) [s since bag start].
        position: Shape (samples, joints) [rad or m].
    """

    names: tuple[str, ...]
    t_s: Floats
    position: Floats

    def of(self, name: str) -> Floats | None:
        """Return one joint's positions, shape (samples,), or None if it is not here."""
        return self.position[:, self.names.index(name)] if name in self.names else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent:
    """What the controller did, and why, in words for people."""

    t_s: float
    state: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One episode.

    Attributes:
        measured, commanded, setpoint: None if not recorded or not asked for.
        cameras: Image topics.
        events: State changes within the episode.
        observations: How many observations were made, and how many of them were not valid.
        policy: Name, version and family of the policy in charge, empty if unknown.
    """

    path: Path
    labels: EpisodeLabels
    start_ns: int
    duration_s: float
    messages: int
    dropped: int
    ticks: Ticks | None
    chunks: tuple[Chunk, ...]
    measured: JointSeries | None
    commanded: JointSeries | None
    setpoint: JointSeries | None
    cameras: tuple[str, ...]
    events: tuple[StateEvent, ...]
    observations: int
    invalid_observations: int
    policy: tuple[str, str, str]


def load_episode(bag: BagReader, *, joints: bool = True) -> EpisodeRecord:
    """Read an episode from a bag.

    Args:
        bag: Opened bag; topics are found by type, so a namespace does not matter.
        joints: Also read the joint series, the larger part of the work.
    """
    start_ns = bag.start_ns
    observations = _read(bag, bag.topics_of_type(OBSERVATION_STATUS))
    measured, commanded, setpoint = _joint_topics(bag) if joints else (None, None, None)
    return EpisodeRecord(
        path=bag.path,
        labels=bag.labels,
        start_ns=start_ns,
        duration_s=(bag.end_ns - start_ns) * 1e-9,
        messages=bag.message_count,
        dropped=int(bag.custom_data.get('bc.dropped', '0')),
        ticks=_ticks(_read(bag, bag.topics_of_type(STATUS)[:1]), start_ns),
        chunks=tuple(_chunk(msg, start_ns) for msg in _read(bag, bag.topics_of_type(CHUNK)[:1])),
        measured=_joints(bag, measured),
        commanded=_joints(bag, commanded),
        setpoint=_joints(bag, setpoint),
        cameras=tuple(
            sorted(
                topic.name
                for topic in bag.topics.values()
                if topic.type in IMAGE_TYPES and topic.message_count
            )
        ),
        events=_events(bag),
        observations=len(observations),
        invalid_observations=sum(not msg.valid for msg in observations),
        policy=_policy(bag),
    )


def _read(bag: BagReader, topics: Sequence[str]) -> list[Any]:
    return [message.decode() for message in bag.messages(topics)] if topics else []


def stamp_ns(stamp: Any) -> int:
    """Return a `builtin_interfaces/Time` in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _ticks(messages: Sequence[Any], start_ns: int) -> Ticks | None:
    if not messages:
        return None

    def floats(field: str) -> Floats:
        return np.array([getattr(msg, field) for msg in messages], dtype=np.float64)

    def ints(field: str) -> Ints:
        return np.array([getattr(msg, field) for msg in messages], dtype=np.int64)

    stamps = np.array([stamp_ns(msg.header.stamp) - start_ns for msg in messages])
    return Ticks(
        t_s=stamps * 1e-9,
        number=ints('tick'),
        missed=ints('missed_ticks'),
        lateness_s=floats('lateness'),
        latency_s=floats('latency'),
        source=ints('control_source'),
        limiter_flags=ints('limiter_flags'),
        starved=ints('starved_ticks'),
        chunk_sequence=ints('chunk_sequence'),
        chunks_accepted=ints('chunks_accepted'),
        chunks_rejected=ints('chunks_rejected'),
        tracking_error=floats('tracking_error'),
        states=tuple(msg.state for msg in messages),
    )


def _chunk(msg: Any, start_ns: int) -> Chunk:
    dt_ns = stamp_ns(msg.dt)
    stamp = stamp_ns(msg.header.stamp) - start_ns
    steps = np.arange(msg.steps) - int(msg.stamp_index)
    return Chunk(
        sequence=int(msg.sequence),
        t_s=(stamp + steps * dt_ns) * 1e-9,
        values=np.asarray(msg.values, dtype=np.float64).reshape(int(msg.steps), -1),
        names=tuple(msg.names),
        units=tuple(msg.units),
        relative=tuple(reference != 'absolute' for reference in msg.references),
        inference_s=float(msg.inference),
    )


def _joint_topics(bag: BagReader) -> tuple[str | None, str | None, str | None]:
    """Return the topics of measured, commanded and desired positions."""
    names = bag.topics_of_type(JOINT_STATE)
    commanded = next((name for name in names if name.endswith('/command')), None)
    setpoint = next((name for name in names if name.endswith('/setpoint')), None)
    others = [name for name in names if name not in (commanded, setpoint)]
    # Where a robot has several state topics, the conventional name is the merged one.
    measured = next((name for name in others if name.endswith('joint_states')), None)
    return measured or (others[0] if others else None), commanded, setpoint


def _joints(bag: BagReader, topic: str | None) -> JointSeries | None:
    messages = _read(bag, [topic]) if topic else []
    if not messages:
        return None
    names = tuple(messages[0].name)
    rows: list[tuple[float, list[float]]] = []
    for msg in messages:
        by_name = dict(zip(msg.name, msg.position, strict=False))
        # A driver may publish its joints in turns; only whole messages make a series.
        if all(name in by_name for name in names):
            time_s = (stamp_ns(msg.header.stamp) - bag.start_ns) * 1e-9
            rows.append((time_s, [by_name[name] for name in names]))
    if not rows:
        return None
    return JointSeries(
        names=names,
        t_s=np.array([row[0] for row in rows]),
        position=np.array([row[1] for row in rows], dtype=np.float64),
    )


def _events(bag: BagReader) -> tuple[StateEvent, ...]:
    # The latched state repeats the events; of two topics of this type the events are wanted.
    names = bag.topics_of_type(STATE_EVENT)
    names = [name for name in names if name.endswith('events')] or names[:1]
    found = []
    for msg in _read(bag, names):
        t_s = (stamp_ns(msg.stamp) - bag.start_ns) * 1e-9
        if t_s >= 0.0:  # a recorder that joins late gets the history of earlier episodes
            found.append(StateEvent(t_s=t_s, state=msg.state, code=msg.code, text=msg.text))
    return tuple(found)


def _policy(bag: BagReader) -> tuple[str, str, str]:
    for msg in reversed(_read(bag, bag.topics_of_type(POLICY_INFO)[:1])):
        if msg.policy_id:
            return str(msg.name), str(msg.version), str(msg.family)
    return '', '', ''
