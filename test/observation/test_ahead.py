# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding ahead changes when pictures are decoded, never what is observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.observation import ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

MS = 1_000_000
PERIOD = 33_333_333
DUE_EVERY = 2 * PERIOD


@pytest.fixture(scope='module')
def make(make_spec: Any, make_robot: Any, inputs: Any) -> Callable[[], ObservationAssembler]:
    spec: PolicySpec = make_spec(inputs.state(), inputs.image('front'), inputs.image('side'))
    robot: RobotConfig = make_robot(('transport: compressed', 'transport: raw'))
    return lambda: ObservationAssembler(spec=spec, robot=robot)


def decoded(assembler: ObservationAssembler) -> dict[str, int]:
    return {name: c.decoded for name, c in assembler.counters().items() if 'cameras' in name}


def frames(shift_ns: int, count: int, jitter: list[int] | None = None) -> list[tuple[int, str]]:
    """Return (stamp, camera) in order: `side` fires shift_ns after `front`."""
    found = []
    for i in range(count):
        for place, (camera, shift) in enumerate((('front', 0), ('side', shift_ns))):
            late = 0 if jitter is None else jitter[(2 * i + place) % len(jitter)]
            found.append((i * PERIOD + shift + late, camera))
    return sorted(found)


def run(
    assembler: ObservationAssembler,
    events: list[tuple[int, str]],
    push_joints: Callable[..., PushResult],
    noise_image: Callable[[int], RawImage],
    *,
    ahead: bool,
) -> tuple[list[Any], list[int]]:
    """Observe as the node does; return observations and the decodes that each left to itself."""
    due, observations, left = 0, [], []
    for number, (stamp, camera) in enumerate(events):
        push_joints(assembler, stamp, 1e-9 * stamp, 0.0, 0.0)
        assembler.push_image(
            camera, stamp_ns=stamp, arrival_ns=None, image=noise_image(number % 16)
        )
        reference = assembler.reference_time()
        ready = due - DUE_EVERY // 20
        if reference is not None and reference >= ready:
            before = sum(decoded(assembler).values())
            observations.append(assembler.assemble(reference))
            left.append(sum(decoded(assembler).values()) - before)
            due = max(due + DUE_EVERY, reference + DUE_EVERY // 2)
        elif ahead:
            assembler.prepare(ready)
    return observations, left


def wobble(most_ns: int) -> list[int]:
    return np.random.default_rng(0).integers(-most_ns, most_ns, 97).tolist()


@pytest.mark.parametrize('jitter', [None, wobble(MS)], ids=['steady', '1 ms'])
@pytest.mark.parametrize('shift_ms', [5, 10, 16, 22])
def test_steady_cameras_leave_one_picture_to_the_end_and_decode_none_in_vain(
    shift_ms: int,
    jitter: list[int] | None,
    make: Callable[[], ObservationAssembler],
    push_joints: Callable[..., PushResult],
    noise_image: Callable[[int], RawImage],
) -> None:
    events = frames(shift_ms * MS, 60, jitter)
    plain, with_ahead = make(), make()
    expected, before = run(plain, events, push_joints, noise_image, ahead=False)
    got, left = run(with_ahead, events, push_joints, noise_image, ahead=True)
    assert len(got) == len(expected) > 25
    assert set(before[2:]) == {2}
    assert set(left[2:]) == {1}
    spare = sum(decoded(with_ahead).values()) - sum(decoded(plain).values())
    assert 0 <= spare <= 2, 'at the start and at the end at most'


@pytest.mark.parametrize('jitter', [None, wobble(MS)], ids=['triggered', 'within 1 ms'])
def test_of_cameras_that_fire_together_the_first_is_decoded_while_the_second_is_under_way(
    jitter: list[int] | None,
    make: Callable[[], ObservationAssembler],
    push_joints: Callable[..., PushResult],
    noise_image: Callable[[int], RawImage],
) -> None:
    _, left = run(make(), frames(0, 40, jitter), push_joints, noise_image, ahead=True)
    assert set(left[2:]) == {1}


@settings(max_examples=60, deadline=None)
@given(
    shift_ms=st.integers(0, 33),
    jitter=st.lists(st.integers(-15 * MS, 15 * MS), min_size=1, max_size=40),
)
def test_property_observations_are_the_same_and_cost_one_decode_more_at_most(
    shift_ms: int,
    jitter: list[int],
    make: Callable[[], ObservationAssembler],
    push_joints: Callable[..., PushResult],
    noise_image: Callable[[int], RawImage],
) -> None:
    events = frames(shift_ms * MS, 30, jitter)
    plain, with_ahead = make(), make()
    expected, _ = run(plain, events, push_joints, noise_image, ahead=False)
    got, _ = run(with_ahead, events, push_joints, noise_image, ahead=True)
    assert [o.stamp_ns for o in got] == [o.stamp_ns for o in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.valid == other.valid
        assert one.reasons == other.reasons
        assert one.tensors.keys() == other.tensors.keys()
        for name, tensor in one.tensors.items():
            np.testing.assert_array_equal(tensor, other.tensors[name])
    for camera, count in decoded(with_ahead).items():
        assert count <= decoded(plain)[camera] + len(expected) + 1


def test_a_frame_that_cannot_be_decoded_is_named_by_the_observation_and_not_before(
    make: Callable[[], ObservationAssembler],
    push_joints: Callable[..., PushResult],
    raw_image: Callable[..., RawImage],
    noise_image: Callable[[int], RawImage],
) -> None:
    assembler = make()
    push_joints(assembler, 0)
    assembler.push_image('side', stamp_ns=0, arrival_ns=None, image=noise_image(1))
    broken = RawImage(
        height=6, width=8, encoding='rgb8', step=24, is_bigendian=False, data=b'too short'
    )
    push_joints(assembler, 10 * MS)
    assembler.push_image('front', stamp_ns=10 * MS, arrival_ns=None, image=broken)
    assembler.prepare(12 * MS)
    observation = assembler.assemble(10 * MS)
    assert [reason.code.value for reason in observation.reasons] == ['DECODE']


def test_nothing_is_decoded_before_every_camera_is_there(
    make: Callable[[], ObservationAssembler], noise_image: Callable[[int], RawImage]
) -> None:
    assembler = make()
    assembler.push_image('front', stamp_ns=0, arrival_ns=None, image=noise_image(0))
    assembler.prepare(0)
    assert sum(decoded(assembler).values()) == 0
