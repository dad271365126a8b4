# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Make observations from a bag with the code that makes them live.

What a policy saw, or would have seen, at any time of a recording: for datasets, replay and audits.
The tensors depend on the samples and the time alone, so that live and offline are the same bits
(`test/pipeline/test_offline_parity.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bc_runtime.observation import (
    FieldPath,
    Observation,
    ObservationAssembler,
    StreamKind,
    StreamRequest,
)
from bc_runtime.observation.serialized import read_compressed_image, read_image
from bc_runtime.recording.reader import BagMessage, BagReader
from bc_runtime.spec import PolicySpec, RecordingError, RobotConfig, StreamConfig
from bc_runtime.spec.errors import available

#: Samples are kept this far back [s]: longer than any stream may lag in a bag.
HORIZON_S = 2.0


class OfflineObserver:
    """Feeds an assembler from a bag.

    Args:
        bag: An open bag.
        spec: Policy whose inputs are made.
        robot: Robot that was recorded.
        namespace: Namespace that the topics were recorded under.

    Raises:
        RecordingError: the bag lacks a topic that the policy needs; lists what it has.
        BindingError: policy and robot do not fit together.
    """

    def __init__(
        self, bag: BagReader, *, spec: PolicySpec, robot: RobotConfig, namespace: str = ''
    ) -> None:
        self._bag = bag
        self._robot = robot
        self._assembler = ObservationAssembler(
            spec=spec, robot=robot, horizon_s=HORIZON_S, by_stamps=True
        )
        self._push: dict[str, Callable[[BagMessage], None]] = {}
        for request in self._assembler.streams.values():
            topic = _find(bag, request, namespace)
            self._push[topic] = self._pusher(request)

    def at(self, times_ns: Iterable[int]) -> Iterator[Observation]:
        """Yield the observation at each time (ROS clock, ascending), valid or with its reasons.

        Messages are taken in the order of their log time until every stream reaches the time.
        """
        messages = self._bag.messages(self._push)
        ended = False
        for t_ns in times_ns:
            while not ended:
                reach_ns = self._assembler.reference_time()
                if reach_ns is not None and reach_ns >= t_ns:
                    break
                message = next(messages, None)
                if message is None:
                    ended = True
                else:
                    self._push[message.topic](message)
            yield self._assembler.assemble(t_ns)

    def _pusher(self, request: StreamRequest) -> Callable[[BagMessage], None]:
        robot = self._robot
        if request.kind is StreamKind.CAMERA:
            return partial(self._push_image, request.key)
        if request.kind is StreamKind.VECTOR:
            paths = {name: FieldPath(path) for name, path in request.fields.items()}
            return partial(self._push_vector, request.key, paths)
        if request.kind is StreamKind.INSTRUCTION:
            return lambda message: self._assembler.set_instruction(str(message.decode().data))
        return partial(self._push_joints, robot.joint_states)

    def _push_joints(self, config: StreamConfig, message: BagMessage) -> None:
        msg = message.decode()
        self._assembler.push_joint_state(
            stamp_ns=_stamp(config, msg, message),
            arrival_ns=None,
            names=msg.name,
            position=msg.position,
            velocity=msg.velocity,
            effort=msg.effort,
        )

    def _push_image(self, camera: str, message: BagMessage) -> None:
        config = self._robot.cameras[camera]
        read = (
            read_compressed_image
            if message.type == 'sensor_msgs/msg/CompressedImage'
            else read_image
        )
        stamp_ns, image = read(message.data)
        if config.clock == 'arrival':
            stamp_ns = message.log_time_ns
        self._assembler.push_image(camera, stamp_ns=stamp_ns, arrival_ns=None, image=image)

    def _push_vector(
        self, stream: str, paths: Mapping[str, FieldPath], message: BagMessage
    ) -> None:
        msg = message.decode()
        self._assembler.push_vector(
            stream,
            stamp_ns=_stamp(self._robot.streams[stream], msg, message),
            arrival_ns=None,
            values={name: path.read(msg) for name, path in paths.items()},
        )


def observe_bag(
    path: Path, times_ns: Iterable[int], *, spec: PolicySpec, robot: RobotConfig
) -> list[Observation]:
    """Return the observations of a bag at the given times (ROS clock, ascending)."""
    with BagReader(path) as bag:
        return list(OfflineObserver(bag, spec=spec, robot=robot).at(times_ns))


def _find(bag: BagReader, request: StreamRequest, namespace: str) -> str:
    """Return the recorded topic of a stream; a camera may be recorded compressed instead."""
    prefix = f'/{namespace.strip("/")}' if namespace.strip('/') else ''
    plain = request.topic if request.topic.startswith('/') else f'{prefix}/{request.topic}'
    for topic in (plain, f'{plain}/compressed'):
        if topic in bag.topics:
            return topic
    raise RecordingError(
        f'{bag.path} has no topic {plain!r}, which {request.name!r} needs; '
        f'it has: {available(bag.topics)}'
    )


def _stamp(config: StreamConfig, msg: Any, message: BagMessage) -> int:
    if config.clock == 'header' and hasattr(msg, 'header'):
        return int(msg.header.stamp.sec) * 1_000_000_000 + int(msg.header.stamp.nanosec)
    return message.log_time_ns
