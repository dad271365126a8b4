# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Convert between messages and the values of the pure packages; no logic, no needless copies."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
import math
from typing import Any

from builtin_interfaces.msg import Duration, Time
import numpy as np
from numpy.typing import NDArray
from sensor_msgs import msg as sensor_msg

from bc_msgs import msg as bc_msg
from bc_runtime.execution import ActionChunk, CommittedPrefix
from bc_runtime.inference_loop import PolicyInputs
from bc_runtime.observation import Observation
from bc_runtime.spec import ObservationError, PolicySpec

NS = 1_000_000_000


def to_ns(stamp: Time | Duration) -> int:
    """Return nanoseconds of a time or duration message."""
    return int(stamp.sec) * NS + int(stamp.nanosec)


def to_time(ns: int) -> Time:
    """Return a time message."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def to_duration(ns: int) -> Duration:
    """Return a duration message."""
    return Duration(sec=ns // NS, nanosec=ns % NS)


def sender_of(info: Mapping[str, Any]) -> bytes | None:
    """Return the id of the publisher of a message, None where the middleware does not tell it.

    Args:
        info: The second argument of a subscription's callback (`rclpy`'s message info).
    """
    gid = info.get('publisher_gid')
    return bytes(gid['data']) if gid else None


def to_bytes(values: NDArray[np.generic]) -> array[int]:
    """Return the elements as the byte array that rosidl takes without looking at each element."""
    data = array('B')
    data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    return data


def tensor_to_msg(name: str, values: NDArray[np.generic]) -> bc_msg.Tensor:
    """Return a tensor message; text becomes UTF-8 bytes, one row per string."""
    if values.dtype == object:
        text = '\0'.join(str(item) for item in values.ravel()).encode()
        return bc_msg.Tensor(
            name=name, dtype='utf8', shape=list(values.shape), data=array('B', text)
        )
    return bc_msg.Tensor(
        name=name, dtype=values.dtype.name, shape=list(values.shape), data=to_bytes(values)
    )


def tensor_from_msg(msg: bc_msg.Tensor) -> NDArray[np.generic]:
    """Return a read-only array over the message's bytes."""
    if msg.dtype == 'utf8':
        words = bytes(msg.data).decode().split('\0')
        return np.array(words, dtype=object).reshape(tuple(msg.shape))
    try:
        values = np.frombuffer(msg.data, dtype=np.dtype(msg.dtype)).reshape(tuple(msg.shape))
    except (TypeError, ValueError) as error:
        raise ObservationError(
            f'tensor {msg.name!r}: {len(msg.data)} bytes are no {msg.dtype!r} of shape '
            f'{list(msg.shape)}: {error}'
        ) from None
    values.flags.writeable = False
    return values


def observation_to_msg(
    observation: Observation,
    *,
    sequence: int,
    epoch: int,
    policy_id: str,
    anchor: Mapping[str, float],
    assembly_s: float,
) -> bc_msg.Observation:
    """Return the message of an observation, valid or not."""
    msg = bc_msg.Observation()
    msg.header.stamp = to_time(observation.stamp_ns)
    msg.sequence = sequence
    msg.epoch = epoch
    msg.policy_id = policy_id
    msg.instruction = observation.instruction
    msg.valid = observation.valid
    msg.reasons = [str(reason) for reason in observation.reasons]
    if observation.valid:
        msg.tensors = [tensor_to_msg(name, v) for name, v in observation.tensors.items()]
    msg.streams = [
        bc_msg.StreamStatus(
            name=report.name,
            stamp=to_time(report.stamp_ns) if report.stamp_ns is not None else Time(),
            age=_seconds(report.age_ns),
            skew=_seconds(report.skew_ns),
            reason=report.reason,
        )
        for report in observation.streams
    ]
    msg.anchor_names = list(anchor)
    msg.anchor_positions = list(anchor.values())
    msg.assembly = assembly_s
    return msg


def observation_status(msg: bc_msg.Observation) -> bc_msg.ObservationStatus:
    """Return an observation without its tensors."""
    return bc_msg.ObservationStatus(
        header=msg.header,
        sequence=msg.sequence,
        valid=msg.valid,
        reasons=msg.reasons,
        streams=msg.streams,
        instruction=msg.instruction,
        assembly=msg.assembly,
    )


def policy_inputs(msg: bc_msg.Observation) -> PolicyInputs:
    """Return a valid observation message as the policy takes it; tensors are not copied."""
    return PolicyInputs(
        stamp_ns=to_ns(msg.header.stamp),
        sequence=msg.sequence,
        epoch=msg.epoch,
        policy_id=msg.policy_id,
        tensors={tensor.name: tensor_from_msg(tensor) for tensor in msg.tensors},
        anchor=dict(zip(msg.anchor_names, msg.anchor_positions, strict=False)),
    )


def chunk_to_msg(
    chunk: ActionChunk,
    spec: PolicySpec,
    *,
    start_ns: int,
    end_ns: int,
    inference_s: float,
    prefix_steps: int = 0,
) -> bc_msg.ActionChunk:
    """Return the message of a chunk that was inferred from start_ns to end_ns (ROS time)."""
    msg = bc_msg.ActionChunk()
    msg.header.stamp = to_time(chunk.stamp_ns)
    msg.dt = to_duration(chunk.dt_ns)
    msg.stamp_index = chunk.stamp_index
    msg.sequence = chunk.sequence
    msg.observation_sequence = chunk.observation_sequence
    msg.epoch = chunk.epoch
    msg.policy_id = chunk.policy_id
    msg.steps = chunk.chunk_size
    msg.names = list(chunk.names)
    msg.kinds = [kind.value for kind in chunk.kinds]
    msg.units = list(spec.action_units)
    msg.references = [reference.value for reference in chunk.references]
    anchor = chunk.anchor or {}
    msg.anchor_names = list(anchor)
    msg.anchor_positions = list(anchor.values())
    values = array('f')
    values.frombytes(chunk.values.tobytes())
    msg.values = values
    msg.inference_start = to_time(start_ns)
    msg.inference_end = to_time(end_ns)
    msg.inference = inference_s
    msg.observation_age = (start_ns - chunk.stamp_ns) / NS
    msg.prefix_steps = prefix_steps
    return msg


def fill_prefix(msg: bc_msg.ExecutionState, plan: CommittedPrefix | None) -> None:
    """Write a committed plan into an execution state."""
    if plan is None:
        return
    msg.dt = to_duration(plan.dt_ns)
    msg.prefix_names = list(plan.names)
    msg.prefix_steps = len(plan.values)
    msg.prefix_stamp = to_time(plan.stamp_ns)
    msg.prefix = array('f', plan.values.ravel().tolist())


def committed_prefix(msg: bc_msg.ExecutionState) -> CommittedPrefix | None:
    """Return the committed plan of an execution state, None if it carries none."""
    if not msg.prefix_steps or len(msg.prefix) != msg.prefix_steps * len(msg.prefix_names):
        return None
    values = np.array(msg.prefix, dtype=np.float32)
    return CommittedPrefix(
        stamp_ns=to_ns(msg.prefix_stamp),
        dt_ns=to_ns(msg.dt),
        names=tuple(msg.prefix_names),
        values=values.reshape(msg.prefix_steps, len(msg.prefix_names)),
    )


def chunk_from_msg(msg: bc_msg.ActionChunk, *, received_ns: int) -> ActionChunk:
    """Return the chunk of a message.

    Raises:
        ExecutionError: the message contradicts itself (sizes, names, non-finite values).
    """
    values = np.frombuffer(msg.values, dtype=np.float32)
    width = len(msg.names)
    if width and msg.steps and values.size == msg.steps * width:
        values = values.reshape(msg.steps, width)
    return ActionChunk(
        stamp_ns=to_ns(msg.header.stamp),
        dt_ns=to_ns(msg.dt),
        stamp_index=msg.stamp_index,
        values=values,
        names=tuple(msg.names),
        kinds=tuple(msg.kinds),
        references=tuple(msg.references),
        policy_id=msg.policy_id,
        sequence=msg.sequence,
        epoch=msg.epoch,
        observation_sequence=msg.observation_sequence,
        anchor=dict(zip(msg.anchor_names, msg.anchor_positions, strict=False)) or None,
        received_ns=received_ns,
    )


def named_positions(names: Sequence[str], values: Sequence[float]) -> sensor_msg.JointState:
    """Return a JointState with names, as plotting tools need it."""
    return sensor_msg.JointState(name=list(names), position=list(values))


def _seconds(ns: int | None) -> float:
    return math.nan if ns is None else ns / NS
