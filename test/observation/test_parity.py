# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One recording gives the same tensors, bit for bit: live, offline and in any interleaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.observation import Observation, ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

MS = 1_000_000
STREAMS = ('joint_states', 'cameras/front', 'cameras/side', 'streams/wrench')
PERIODS = {
    'joint_states': 10.0,
    'cameras/front': 33.3,
    'cameras/side': 33.3,
    'streams/wrench': 7.0,
}
NAMES = ('shoulder', 'wrist', 'gripper')


@dataclass(frozen=True)
class Message:
    """One recorded message: stream, stamp, time of arrival, and what its content is made from."""

    stream: str
    stamp_ns: int
    arrival_ns: int
    seed: int


def record(seed: int, *, seconds: float = 1.0, jitter: float = 0.2) -> list[Message]:
    """Return messages of all streams with phases, jittered stamps and jittered transport.

    Within a stream the order of arrival is the order of stamps, as one DDS writer keeps it.
    """
    rng = random.Random(seed)
    messages = []
    for name in STREAMS:
        stamp, arrival = rng.uniform(0.0, 30.0), 0.0
        while stamp < seconds * 1000.0:
            delay = rng.uniform(0.3, 3.0) if name == 'joint_states' else rng.uniform(2.0, 20.0)
            arrival = max(arrival + 1e-3, stamp + delay)
            number = rng.randrange(2**31)
            messages.append(Message(name, round(stamp * MS), round(arrival * MS), number))
            stamp += PERIODS[name] * rng.uniform(1.0 - jitter, 1.0 + jitter)
    return sorted(messages, key=lambda m: m.arrival_ns)


def push(assembler: ObservationAssembler, message: Message) -> PushResult:
    """Push a message; its content depends on its seed alone."""
    rng = np.random.default_rng(message.seed)
    stamps: dict[str, Any] = {'stamp_ns': message.stamp_ns, 'arrival_ns': None}
    group, _, key = message.stream.partition('/')
    if group == 'cameras':
        data = rng.bytes(12 * 16 * 3)
        image = RawImage(
            height=12, width=16, encoding='rgb8', step=48, is_bigendian=False, data=data
        )
        return assembler.push_image(key, image=image, **stamps)
    if group == 'streams':
        return assembler.push_vector(key, values=rng.random(2).tolist(), **stamps)
    order = rng.permutation(3)
    values = rng.uniform(-3.0, 3.0, 3)
    return assembler.push_joint_state(
        names=[NAMES[i] for i in order], position=values[order], **stamps
    )


def equal(first: Observation, second: Observation) -> bool:
    assert first.valid and second.valid, (first.reasons, second.reasons)
    assert list(first.tensors) == list(second.tensors)
    assert first.streams == second.streams
    assert first.anchor == second.anchor
    return all(
        first.tensors[name].tobytes() == second.tensors[name].tobytes() for name in first.tensors
    )


@pytest.fixture(scope='module')
def make(
    make_spec: Callable[..., PolicySpec], make_robot: Callable[..., RobotConfig], inputs: Any
) -> Callable[..., ObservationAssembler]:
    def build(n_obs_steps: int, **options: Any) -> ObservationAssembler:
        spec = make_spec(
            inputs.state(n_obs_steps),
            inputs.image('front', n_obs_steps),
            inputs.image('side', n_obs_steps, layout='CHW', dtype='float32'),
            inputs.vector(n_obs_steps),
            inputs.task(),
            n_obs_steps=n_obs_steps,
            reference='observation_state',
        )
        robot = make_robot(('transport: compressed', 'transport: raw'))
        assembler = ObservationAssembler(spec=spec, robot=robot, **options)
        assembler.set_instruction('take the cup')
        return assembler

    return build


def run_live(assembler: ObservationAssembler, messages: list[Message]) -> list[Observation]:
    """Push in order of arrival and observe whenever a new time can be served, as the node does."""
    observations = []
    last = -1
    for message in messages:
        push(assembler, message)
        t = assembler.reference_time()
        if t is None or t <= last:
            continue
        observation = assembler.assemble(t)
        if observation.valid:
            observations.append(observation)
            last = t
    return observations


@pytest.mark.parametrize('n_obs_steps', [1, 2])
@pytest.mark.parametrize('seed', range(5))
def test_parity_of_live_and_offline(
    seed: int, n_obs_steps: int, make: Callable[..., ObservationAssembler]
) -> None:
    messages = record(seed)
    live = run_live(make(n_obs_steps), messages)
    assert len(live) >= 15
    offline = make(n_obs_steps, horizon_s=10.0)
    for message in messages:
        push(offline, message)
    for observation in live:
        assert equal(observation, offline.assemble(observation.stamp_ns))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_parity_property_interleaving_of_streams_does_not_matter(
    make: Callable[..., ObservationAssembler], seed: int, order: random.Random
) -> None:
    """Any interleaving that keeps the order inside each stream gives bit-identical tensors."""
    messages = record(seed, seconds=0.6)
    queues = {name: [m for m in messages if m.stream == name] for name in STREAMS}
    shuffled = []
    while any(queues.values()):
        name = order.choice([name for name, queue in queues.items() if queue])
        shuffled.append(queues[name].pop(0))
    first, second = make(2, horizon_s=10.0), make(2, horizon_s=10.0)
    for message, other in zip(messages, shuffled, strict=True):
        push(first, message)
        push(second, other)
    assert first.reference_time() == second.reference_time()
    t = first.reference_time()
    assert t is not None
    for back in range(0, 300, 17):
        assert equal(first.assemble(t - back * MS), second.assemble(t - back * MS))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 300), min_size=2, max_size=6))
def test_parity_property_earlier_observations_do_not_matter(
    make: Callable[..., ObservationAssembler], seed: int, backs: list[int]
) -> None:
    """The kept pictures of earlier observations never leak into later ones."""
    messages = record(seed, seconds=0.6)
    used = make(2, horizon_s=10.0)
    for message in messages:
        push(used, message)
    t = used.reference_time()
    assert t is not None
    for back in backs:
        fresh = make(2, horizon_s=10.0)
        for message in messages:
            push(fresh, message)
        assert equal(used.assemble(t - back * MS), fresh.assemble(t - back * MS))


def test_parity_is_not_vacuous(make: Callable[..., ObservationAssembler]) -> None:
    first, second = make(1), make(1)
    for message in record(1):
        push(first, message)
    for message in record(2):
        push(second, message)
    t = min(first.reference_time() or 0, second.reference_time() or 0)
    one, other = first.assemble(t), second.assemble(t)
    assert any(one.tensors[n].tobytes() != other.tensors[n].tobytes() for n in one.tensors)
