# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.observation import ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

MS = 1_000_000
PERIOD = 33 * MS
Specs = Callable[..., PolicySpec]
Robots = Callable[..., RobotConfig]
Push = Callable[..., PushResult]
Noise = Callable[..., RawImage]


@pytest.fixture(scope='module')
def two_cameras(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> Callable[[], ObservationAssembler]:
    spec = make_spec(inputs.state(), inputs.image('front'), inputs.image('side'))
    robot = make_robot(('transport: compressed', 'transport: raw'))
    return lambda: ObservationAssembler(spec=spec, robot=robot)


def show(assembler: ObservationAssembler, camera: str, t: int, image: RawImage) -> PushResult:
    return assembler.push_image(camera, stamp_ns=t, arrival_ns=None, image=image)


def test_it_is_the_newest_frame_that_the_joints_have_passed(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, noise_image: Noise
) -> None:
    spec = make_spec(inputs.state(), inputs.image())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    push_joints(assembler, 0)
    assert assembler.reference_time() is None, 'no frame yet'
    show(assembler, 'front', 5 * MS, noise_image(0))
    push_joints(assembler, 10 * MS)
    assert assembler.reference_time() == 5 * MS
    show(assembler, 'front', 38 * MS, noise_image(1))
    assert assembler.reference_time() == 5 * MS, 'no joint state at or after the new frame'
    push_joints(assembler, 40 * MS)
    assert assembler.reference_time() == 38 * MS
    report = assembler.assemble(38 * MS).streams[1]
    assert report.skew_ns == 0


def test_a_second_camera_is_waited_for_only_when_its_frame_is_due(
    two_cameras: Callable[[], ObservationAssembler], push_joints: Push, noise_image: Noise
) -> None:
    assembler = two_cameras()
    for i in range(21):
        push_joints(assembler, i * 10 * MS)
    show(assembler, 'front', 0, noise_image(0))
    show(assembler, 'side', 20 * MS, noise_image(1))
    assert assembler.reference_time() == 20 * MS, 'no frame of front is due before 25 ms'
    show(assembler, 'side', 53 * MS, noise_image(2))
    assert assembler.reference_time() == 20 * MS, 'the frame of front at 33 ms is under way'
    show(assembler, 'front', 33 * MS, noise_image(3))
    assert assembler.reference_time() == 53 * MS
    reports = {r.name: r for r in assembler.assemble(53 * MS).streams}
    assert reports['cameras/front'].stamp_ns == 33 * MS
    assert reports['cameras/front'].skew_ns == 20 * MS


def test_without_cameras_it_is_the_newest_sample_that_all_have_passed(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(), inputs.vector())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    push_joints(assembler, 10 * MS)
    push_joints(assembler, 20 * MS)
    for t in (5, 18):
        assembler.push_vector('wrench', stamp_ns=t * MS, arrival_ns=None, values=[0.0, 0.0])
    assert assembler.reference_time() == 18 * MS


def test_only_an_instruction_has_no_time(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.task()), robot=make_robot())
    assert assembler.reference_time() is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(['joints', 'front', 'side']), st.integers(1, 40)),
        min_size=10,
        max_size=120,
    )
)
def test_property_it_never_runs_backwards_and_can_be_served(
    two_cameras: Callable[[], ObservationAssembler],
    push_joints: Push,
    noise_image: Noise,
    events: list[tuple[str, int]],
) -> None:
    assembler = two_cameras()
    clock = {'joints': 0, 'front': 0, 'side': 0}
    frames = []
    last = None
    for i, (name, step) in enumerate(events):
        clock[name] += step * MS
        if name == 'joints':
            push_joints(assembler, clock[name])
        else:
            show(assembler, name, clock[name], noise_image(i))
            frames.append(clock[name])
        t = assembler.reference_time()
        if t is None:
            assert last is None
            continue
        assert last is None or t >= last
        last = t
        assert t <= clock['joints']
        not_served = {r.code.value for r in assembler.assemble(t).reasons} & {'NOT_YET', 'MISSING'}
        assert not not_served
