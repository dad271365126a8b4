# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes with known figures, written without ROS."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.episode_writer import EpisodeWriter
from bc_runtime.recording.labels import EpisodeLabels, Outcome
from bc_runtime.recording.topic import RecordedTopic

ROOT = Path(__file__).parents[2]
START_NS = 1_790_000_000_000_000_000
JOINTS = ('joint_1', 'joint_2', 'gripper')
UNITS = ('rad', 'rad', 'm')
CHUNK_SIZE = 12
POLICY_ID = 'c0ffee' * 10 + 'cafe'


class EpisodeMaker:
    """Writes bags of bc_msgs with an encoder and type descriptions that are not ours."""

    def __init__(self):
        self.store = get_typestore(Stores.ROS2_JAZZY)
        types = {}
        for path in sorted((ROOT / 'bc_msgs' / 'msg').glob('*.msg')):
            types.update(get_types_from_msg(path.read_text(), f'bc_msgs/msg/{path.stem}'))
        self.store.register(types)

    def definition(self, name):
        text, _ = self.store.generate_msgdef(name, ros_version=2)
        return MessageDefinition(
            type=name, encoding='ros2msg', text=text, type_hash=self.store.hash_rihs01(name)
        )

    def message(self, type_name, /, **fields):
        """Make a message; fields that are not given are zero or empty."""
        values = {
            field: fields.pop(field) if field in fields else self._default(kind)
            for field, kind in self.store.fielddefs[type_name][1]
        }
        assert not fields, f'{type_name} has no {list(fields)}'
        return self.store.types[type_name](**values)

    def stamp(self, t_ns):
        sec, nanosec = divmod(t_ns, 10**9)
        return self.message('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)

    def header(self, t_ns):
        return self.message('std_msgs/msg/Header', stamp=self.stamp(t_ns))

    def cdr(self, message):
        return bytes(self.store.serialize_cdr(message, message.__msgtype__))

    def _default(self, kind):
        node, detail = kind
        if node.name == 'BASE':
            return '' if detail[0] == 'string' else (False if detail[0] == 'bool' else 0)
        if node.name == 'NAME':
            return self.message(detail)
        if detail[0][0].name == 'BASE' and detail[0][1][0] != 'string':
            return np.zeros(0, dtype=detail[0][1][0])
        return []


class Path3:
    """The synthetic motion: smooth joints and a closing gripper."""

    @staticmethod
    def at(t_s):
        t = np.asarray(t_s, dtype=float)
        return np.stack(
            [0.9 * np.sin(0.7 * t), 0.4 - 0.5 * np.cos(0.9 * t), 0.046 + 0.04 * np.tanh(4 - t)], -1
        )


@dataclasses.dataclass(kw_only=True)
class Plan:
    """What an episode shall contain."""

    seconds: float = 2.0
    rate_hz: float = 100.0
    missed: int = 0
    late_ms: float = 0.2
    latency_ms: float = 30.0
    inference_ms: float = 20.0
    limited_share: float = 0.25
    outcome: Outcome = Outcome.SUCCESS
    images: bool = True
    status: bool = True
    fault_at_s: float | None = None


@pytest.fixture(scope='session')
def maker():
    return EpisodeMaker()


@pytest.fixture(scope='session')
def make_episode(maker):
    def make(directory, name, **options):
        return write_episode(maker, directory, name, Plan(**options))

    return make


def write_episode(maker, directory, name, plan):
    """Write a bag and return its path."""
    success = plan.outcome is Outcome.SUCCESS
    labels = EpisodeLabels(
        id=name,
        instruction='put the red cube in the tray',
        policy_id=POLICY_ID,
        seed=10_000,
        outcome=plan.outcome,
        termination='success' if success else 'timeout',
    )
    messages = sorted(timeline_of(maker, plan), key=lambda item: item[0])
    topics = {topic: message.__msgtype__ for _, topic, message in messages}
    writer = EpisodeWriter(
        Path(directory),
        labels=labels,
        topics=[
            RecordedTopic(name=topic, definition=maker.definition(kind))
            for topic, kind in topics.items()
        ],
        queue_bytes=10**9,
    )
    for t_s, topic, message in messages:
        writer.write(topic, maker.cdr(message), log_time_ns=START_NS + round(t_s * 1e9))
    assert writer.close().dropped == 0
    return writer.path


def timeline_of(maker, plan):
    yield 0.0, '/policy_info', maker.message(
        'bc_msgs/msg/PolicyInfo', name='sim_arm_act', version='1.0', family='act',
        policy_id=POLICY_ID,
    )  # fmt: skip
    if plan.fault_at_s is not None:
        for t_s, state in ((-5.0, 'HELD'), (plan.fault_at_s, 'FAULT')):
            event = maker.message(
                'bc_msgs/msg/StateEvent', stamp=maker.stamp(_at(t_s)), state=state,
                code='CAMERA_STALE', text='camera <front> sent nothing for 0.3 s',
            )  # fmt: skip
            yield max(t_s, 0.0), '/controller/events', event
    yield from _joints(maker, plan)
    yield from _chunks(maker, plan)
    yield from _observations(maker, plan)
    if plan.status:
        yield from _status(maker, plan)
    if plan.images:
        yield from _images(maker, plan)


def _at(t_s):
    return START_NS + round(t_s * 1e9)


def _joints(maker, plan):
    for t_s in np.arange(0.0, plan.seconds, 0.01):
        for topic, delay in (('/joint_states', 0.06), ('/controller/command', 0.0)):
            yield (
                t_s,
                topic,
                maker.message(
                    'sensor_msgs/msg/JointState',
                    header=maker.header(_at(t_s)),
                    name=list(JOINTS),
                    position=Path3.at(t_s - delay),
                ),
            )


def _chunks(maker, plan):
    noise = np.random.default_rng(0)
    for sequence, t_s in enumerate(np.arange(0.1, plan.seconds, 1 / 15), start=1):
        times = t_s + np.arange(CHUNK_SIZE) / 15
        drift = noise.normal(0.0, 0.004, (1, 3)) * np.arange(CHUNK_SIZE)[:, None] * [1, 1, 0.05]
        yield (
            t_s + plan.inference_ms * 1e-3,
            '/action_chunk',
            maker.message(
                'bc_msgs/msg/ActionChunk',
                header=maker.header(_at(t_s)),
                dt=maker.message('builtin_interfaces/msg/Duration', nanosec=66_666_667),
                sequence=sequence,
                policy_id=POLICY_ID,
                steps=CHUNK_SIZE,
                names=list(JOINTS),
                kinds=['joint_position', 'joint_position', 'gripper'],
                units=list(UNITS),
                references=['absolute'] * 3,
                values=(Path3.at(times) + drift).astype(np.float32).ravel(),
                inference=plan.inference_ms * 1e-3,
            ),
        )


def _observations(maker, plan):
    for index, t_s in enumerate(np.arange(0.1, plan.seconds, 1 / 15)):
        yield (
            t_s,
            '/observation_status',
            maker.message(
                'bc_msgs/msg/ObservationStatus',
                header=maker.header(_at(t_s)),
                sequence=index + 1,
                valid=index != 0,
                reasons=[] if index else ['MISSING cameras/front: no image yet'],
            ),
        )


def _status(maker, plan):
    period = 1.0 / plan.rate_hz
    count = round(plan.seconds * plan.rate_hz)
    seen = 0
    for tick in range(count):
        if tick and tick <= plan.missed:
            continue
        t_s = tick * period
        chunk = int(max(0.0, (t_s - 0.1 - plan.latency_ms * 1e-3) * 15)) + 1
        chunk = 0 if t_s < 0.1 + plan.latency_ms * 1e-3 else chunk
        state = 'READY' if chunk == 0 else ('ALIGN' if t_s < 0.2 else 'AUTO')
        if plan.fault_at_s is not None and t_s >= plan.fault_at_s:
            state = 'FAULT'
        elif t_s > plan.seconds - 0.2:
            state = 'HELD'
        by_policy = state == 'AUTO'
        yield (
            t_s + 0.001,
            '/controller/status',
            maker.message(
                'bc_msgs/msg/ControllerStatus',
                header=maker.header(_at(t_s)),
                state=state,
                reason='CAMERA_STALE' if state == 'FAULT' else '',
                control_source=1 if by_policy else 4,
                tick=1000 + tick - min(tick, plan.missed),
                missed_ticks=min(tick, plan.missed),
                period=period,
                lateness=plan.late_ms * 1e-3,
                chunk_sequence=chunk,
                latency=plan.latency_ms * 1e-3 if chunk != seen else float('nan'),
                tracking_error=0.01 * np.sin(t_s) ** 2,
                limiter_flags=2 if by_policy and tick % 20 < 20 * plan.limited_share else 0,
                chunks_accepted=chunk,
            ),
        )
        seen = chunk


def _images(maker, plan):
    for t_s in np.arange(0.0, plan.seconds, 1 / 10):
        for camera in ('front', 'wrist'):
            yield (
                t_s,
                f'/{camera}/image_raw/compressed',
                maker.message(
                    'sensor_msgs/msg/CompressedImage',
                    header=maker.header(_at(t_s)),
                    format='rgb8; jpeg compressed bgr8',
                    data=np.frombuffer(picture(camera, t_s), dtype=np.uint8),
                ),
            )


def picture(camera, t_s):
    """Draw a scene with one moving cube; return JPEG bytes."""
    image = Image.new('RGB', (640, 480), (214, 211, 205) if camera == 'front' else (190, 196, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 330, 640, 480), fill=(158, 132, 104))
    draw.rectangle((430, 350, 590, 420), fill=(90, 94, 100))
    x = 120 + 55 * t_s
    for offset, color in ((0, (200, 40, 40)), (-60, (40, 150, 60)), (-110, (50, 80, 190))):
        draw.rectangle((x + offset, 340, x + offset + 44, 384), fill=color)
    draw.line((320, 60, x + 20, 330), fill=(60, 60, 70), width=26)
    stream = io.BytesIO()
    image.save(stream, 'JPEG', quality=90)
    return stream.getvalue()
