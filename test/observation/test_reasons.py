# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Every way in which an observation is not valid, with its code; nothing is ever filled in."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np
import pytest

from bc_runtime.observation import (
    Observation,
    ObservationAssembler,
    PushResult,
    RawImage,
    ReasonCode,
)
from bc_runtime.observation.reasons import ADVICE
from bc_runtime.spec import PolicySpec, RobotConfig

MS = 1_000_000
SECOND = 1000 * MS
Specs = Callable[..., PolicySpec]
Robots = Callable[..., RobotConfig]
Push = Callable[..., PushResult]
Noise = Callable[..., RawImage]


def show(assembler: ObservationAssembler, camera: str, t: int, image: RawImage) -> PushResult:
    return assembler.push_image(camera, stamp_ns=t, arrival_ns=t + 5 * MS, image=image)


def codes(observation: Observation) -> list[str]:
    assert observation.valid == (not observation.reasons)
    if not observation.valid:
        assert not observation.tensors
        assert not observation.anchor
    return [f'{reason.code.value} {reason.stream}' for reason in observation.reasons]


@pytest.fixture
def running(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, noise_image: Noise
) -> ObservationAssembler:
    """Return an assembler with 300 ms of 100 Hz joints and 30 Hz of two cameras."""
    spec = make_spec(inputs.state(), inputs.image('front'), inputs.image('side'))
    robot = make_robot(('transport: compressed', 'transport: raw'))
    assembler = ObservationAssembler(spec=spec, robot=robot)
    for i in range(31):
        push_joints(assembler, i * 10 * MS, 0.1 * i, 0.0, 0.0, arrival_ns=i * 10 * MS)
    for i in range(10):
        show(assembler, 'front', i * 33 * MS, noise_image(i))
        show(assembler, 'side', i * 33 * MS, noise_image(100 + i))
    return assembler


def test_a_running_robot_is_valid(running: ObservationAssembler) -> None:
    t = running.reference_time()
    assert t == 297 * MS
    observation = running.assemble(t, now_ns=305 * MS, now_mono_ns=305 * MS)
    assert codes(observation) == []
    reports = {report.name: report for report in observation.streams}
    assert reports['cameras/front'].skew_ns == 0
    assert reports['cameras/front'].age_ns == 8 * MS
    assert reports['joint_states'].skew_ns == 7 * MS
    assert all(report.reason == '' for report in observation.streams)


def test_missing(make_spec: Specs, make_robot: Robots, inputs: Any) -> None:
    spec = make_spec(inputs.state(), inputs.image(), inputs.vector())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    assert assembler.reference_time() is None
    observation = assembler.assemble(0, now_ns=0, now_mono_ns=0)
    assert codes(observation) == [
        'MISSING joint_states',
        'MISSING cameras/front',
        'MISSING streams/wrench',
    ]
    report = observation.streams[0]
    assert (report.stamp_ns, report.age_ns, report.skew_ns) == (None, None, None)
    assert report.reason == 'MISSING'


def test_a_dead_camera_is_stale_and_the_others_are_not_blamed(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise
) -> None:
    for i in range(31, 71):
        push_joints(running, i * 10 * MS, 3.0, 0.0, 0.0, arrival_ns=i * 10 * MS)
    for i in range(10, 21):
        show(running, 'side', i * 33 * MS, noise_image(200 + i))
    now = 665 * MS
    for t in (running.reference_time(), now):
        assert t is not None
        observation = running.assemble(t, now_ns=now, now_mono_ns=now)
        assert codes(observation) == ['STALE cameras/front']
        assert '368.0 ms old by its stamp, allowed are 250.0 ms' in observation.reasons[0].text


def test_streams_that_lag_behind_now_are_not_blamed_for_a_dead_one(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise
) -> None:
    push_joints(running, 600 * MS)
    show(running, 'side', 600 * MS, noise_image(1))
    assert codes(running.assemble(640 * MS, now_ns=640 * MS)) == ['STALE cameras/front']


def test_a_stream_can_be_stale_by_arrival_alone(running: ObservationAssembler) -> None:
    """Stamps that run ahead must not hide that nothing arrives any more."""
    observation = running.assemble(297 * MS, now_ns=305 * MS, now_mono_ns=410 * MS)
    assert codes(observation) == ['STALE joint_states']
    assert 'by its arrival' in observation.reasons[0].text
    assert codes(running.assemble(297 * MS, now_ns=305 * MS)) == []


@pytest.mark.parametrize('stamps', ['stand still', 'go back'])
def test_samples_whose_stamps_are_of_no_use_are_told_from_samples_that_do_not_come(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise, stamps: str
) -> None:
    for i in range(31, 71):
        push_joints(running, i * 10 * MS, arrival_ns=i * 10 * MS)
    for i in range(10, 21):
        show(running, 'side', i * 33 * MS, noise_image(200 + i))
        stamp = 297 * MS if stamps == 'stand still' else (290 - i) * MS
        running.push_image(
            'front', stamp_ns=stamp, arrival_ns=i * 33 * MS, image=noise_image(300 + i)
        )
    observation = running.assemble(665 * MS, now_ns=665 * MS, now_mono_ns=665 * MS)
    assert codes(observation) == ['STAMPS cameras/front']
    assert 'stand still or go back; restart its driver' in observation.reasons[0].text
    later = running.assemble(995 * MS, now_ns=665 * MS, now_mono_ns=995 * MS)
    assert 'STALE cameras/front' in codes(later), 'now nothing comes any more'


def test_a_message_that_came_twice_says_nothing_of_its_stamps(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise
) -> None:
    push_joints(running, 600 * MS)
    show(running, 'side', 600 * MS, noise_image(1))
    for _ in range(2):
        running.push_image('front', stamp_ns=297 * MS, arrival_ns=600 * MS, image=noise_image(9))
    observation = running.assemble(640 * MS, now_ns=640 * MS, now_mono_ns=640 * MS)
    assert codes(observation) == ['STALE cameras/front']


def test_not_yet(running: ObservationAssembler) -> None:
    assert codes(running.assemble(305 * MS)) == ['NOT_YET joint_states']
    assert codes(running.assemble(330 * MS)) == [
        'NOT_YET joint_states',
        'NOT_YET cameras/front',
        'NOT_YET cameras/side',
    ]


def test_future_stamps(running: ObservationAssembler) -> None:
    observation = running.assemble(297 * MS, now_ns=100 * MS)
    assert 'FUTURE joint_states' in codes(observation)
    assert '200.0 ms ahead of now' in observation.reasons[0].text


def test_skew(running: ObservationAssembler, push_joints: Push, noise_image: Noise) -> None:
    for i in range(31, 71):
        push_joints(running, i * 10 * MS, arrival_ns=i * 10 * MS)
    for camera in ('front', 'side'):
        show(running, camera, 600 * MS, noise_image(7))
    assert codes(running.assemble(590 * MS)) == ['SKEW cameras/front', 'SKEW cameras/side']


def test_an_observation_that_one_stream_holds_back_names_it(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    robot = make_robot(('topic: wrench', 'max_age_s: 5\n    max_skew_s: 0.05\n    topic: wrench'))
    spec = make_spec(inputs.state(), inputs.vector())
    assembler = ObservationAssembler(spec=spec, robot=robot, horizon_s=3.0)
    assembler.push_vector('wrench', stamp_ns=0, arrival_ns=None, values=[0.0, 1.0])
    for i in range(201):
        push_joints(assembler, i * 10 * MS)
    t = assembler.reference_time()
    assert t == 0
    observation = assembler.assemble(t, now_ns=2 * SECOND)
    assert codes(observation) == ['STALE streams/wrench']
    assert '2000.0 ms old because of this stream' in observation.reasons[0].text


def test_frozen_camera(running: ObservationAssembler, push_joints: Push, raw_image: Any) -> None:
    frame = np.random.default_rng(999).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    valid = []
    for i in range(10, 32):
        t = i * 33 * MS
        push_joints(running, t)
        for camera in ('front', 'side'):
            pixels = frame + np.uint8(i if camera == 'side' else 0)
            show(running, camera, t, raw_image(pixels))  # equal bytes in a new buffer every time
        observation = running.assemble(t)
        valid.append(observation.valid)
        if not observation.valid:
            assert codes(observation) == ['FROZEN cameras/front']
    # frozen_s is 0.5 s: the frame of 330 ms is frozen once 830 ms have passed.
    assert valid == [i * 33 <= 330 + 500 for i in range(10, 32)]
    push_joints(running, 1060 * MS)
    show(running, 'front', 1060 * MS, raw_image(frame + np.uint8(1)))
    show(running, 'side', 1060 * MS, raw_image(frame + np.uint8(1)))
    assert codes(running.assemble(1060 * MS)) == []


def test_frozen_check_can_be_switched_off(
    make_spec: Specs, make_robot: Robots, inputs: Any, raw_image: Any
) -> None:
    robot = make_robot(('front/image_raw,', 'front/image_raw, frozen_s: 0,'))
    assembler = ObservationAssembler(spec=make_spec(inputs.image()), robot=robot)
    frame = np.random.default_rng(9).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    for i in range(60):
        show(assembler, 'front', i * 33 * MS, raw_image(frame))
    assert assembler.assemble(59 * 33 * MS).valid
    assert assembler.counters()['cameras/front'].unchanged == 0


def test_frozen_stamps_are_duplicates(running: ObservationAssembler, noise_image: Noise) -> None:
    assert show(running, 'front', 297 * MS, noise_image(50)) is PushResult.DUPLICATE
    assert show(running, 'front', 290 * MS, noise_image(51)) is PushResult.OUT_OF_ORDER
    counters = running.counters()['cameras/front']
    assert (counters.duplicate, counters.out_of_order) == (1, 1)


def test_messages_about_other_joints_are_no_joint_states_of_the_robot(
    running: ObservationAssembler, push_joints: Push
) -> None:
    """Regressions pinned: wheels that publish on the same topic made observations invalid."""
    wheels = {'names': ('wheel_left', 'wheel_right'), 'position': (1.0, 2.0)}
    before = running.counters()['joint_states'].accepted
    for t in (303, 307, 313):
        assert push_joints(running, t * MS, **wheels) is PushResult.NOT_NEEDED
    push_joints(running, 310 * MS)
    assert [codes(running.assemble(t * MS)) for t in (301, 305, 310)] == [[], [], []]
    counters = running.counters()['joint_states']
    assert (counters.accepted - before, counters.foreign, counters.partial) == (1, 3, 0)


def test_a_message_without_all_joints_is_passed_over(
    running: ObservationAssembler, push_joints: Push
) -> None:
    """Regressions pinned: one message about the hand alone made observations invalid."""
    result = push_joints(running, 305 * MS, names=('wrist', 'gripper'), position=(0.0, 0.0))
    assert result is PushResult.MISSING_JOINT
    push_joints(running, 310 * MS)
    assert codes(running.assemble(307 * MS)) == []
    assert running.counters()['joint_states'].partial == 1


def test_a_joint_that_does_not_come_any_more_is_named(
    running: ObservationAssembler, push_joints: Push
) -> None:
    for t in range(310, 500, 10):
        push_joints(running, t * MS, names=('wrist', 'gripper'), position=(0.0, 0.0))
    observation = running.assemble(490 * MS, now_ns=490 * MS)
    assert codes(observation)[-1] == 'MISSING_JOINT joint_states'
    assert 'none holds shoulder' in observation.reasons[-1].text


def test_joints_that_come_in_separate_messages_are_told_so(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.state()), robot=make_robot())
    for t in range(0, 300, 10):
        push_joints(assembler, t * MS, names=('shoulder',), position=(0.0,))
        push_joints(assembler, (t + 5) * MS, names=('wrist', 'gripper'), position=(0, 0))
    observation = assembler.assemble(300 * MS)
    assert codes(observation) == ['MISSING_JOINT joint_states']
    assert 'no message holds all of' in observation.reasons[0].text


@pytest.mark.parametrize('names', [[], ['wrist']])
def test_a_first_message_without_the_names_is_no_sample(
    names: list[str], make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    """Regressions pinned: a first message without names became uninitialised memory."""
    assembler = ObservationAssembler(spec=make_spec(inputs.state()), robot=make_robot())
    result = push_joints(assembler, 0, names=names, position=[0.0] * 3)
    assert result is PushResult.MISSING_JOINT
    assert codes(assembler.assemble(0)) == ['MISSING_JOINT joint_states']


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 1e39])
def test_joint_values_that_are_not_finite_are_never_used(
    bad: float, running: ObservationAssembler, push_joints: Push
) -> None:
    assert push_joints(running, 310 * MS, 0.0, bad, 0.0) is PushResult.NOT_FINITE
    observation = running.assemble(305 * MS)
    assert codes(observation) == ['NOT_FINITE joint_states']
    assert f'position of wrist = {bad}' in observation.reasons[0].text


def test_joint_messages_without_the_quantity_or_with_repeated_names(
    running: ObservationAssembler, push_joints: Push
) -> None:
    assert push_joints(running, 310 * MS, position=[]) is PushResult.MISSING_JOINT
    names = ('shoulder', 'shoulder', 'wrist', 'gripper')
    result = push_joints(running, 320 * MS, names=names, position=(1, 2, 3, 4))
    assert result is PushResult.MISSING_JOINT
    assert '3 names but 0 position values' in running.assemble(310 * MS).reasons[0].text
    assert 'names shoulder more than once' in running.assemble(320 * MS).reasons[0].text


@pytest.mark.parametrize('values', [{'force_x': 1.0}, [1.0], [1.0, 2.0, 3.0]])
def test_missing_field(values: Any, make_spec: Specs, make_robot: Robots, inputs: Any) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.vector()), robot=make_robot())
    result = assembler.push_vector('wrench', stamp_ns=0, arrival_ns=None, values=values)
    assert result is PushResult.MISSING_FIELD
    assert codes(assembler.assemble(0)) == ['MISSING_FIELD streams/wrench']


def test_decode_errors_are_reasons_and_carry_the_message(
    running: ObservationAssembler, noise_image: Noise, push_joints: Push
) -> None:
    push_joints(running, 340 * MS)
    show(running, 'front', 330 * MS, dataclasses.replace(noise_image(0), encoding='h264'))
    show(running, 'side', 330 * MS, dataclasses.replace(noise_image(0), data=b'short'))
    observation = running.assemble(330 * MS)
    assert codes(observation) == ['DECODE cameras/front', 'DECODE cameras/side']
    assert "'h264' is not decoded here; supported:" in observation.reasons[0].text
    assert 'the message has 5' in observation.reasons[1].text


def test_a_black_picture_is_a_warning(running: ObservationAssembler, raw_image: Any) -> None:
    show(running, 'front', 300 * MS, raw_image(np.zeros((12, 16, 3), np.uint8)))
    observation = running.assemble(300 * MS)
    assert observation.valid
    assert [f'{w.code.value} {w.stream}' for w in observation.warnings] == ['BLANK cameras/front']
    assert next(r for r in observation.streams if r.name == 'cameras/front').reason == 'BLANK'


def test_a_clock_that_was_set_back_recovers_without_mixing_times(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise
) -> None:
    back = -5 * SECOND
    for i in range(40):
        push_joints(running, back + i * 10 * MS, 9.0, 0.0, 0.0)
        if i % 3 == 0:
            for camera in ('front', 'side'):
                show(running, camera, back + i * 10 * MS, noise_image(1000 + i))
    t = running.reference_time()
    assert t == back + 390 * MS
    observation = running.assemble(t, now_ns=t + 10 * MS)
    assert codes(observation) == []
    assert observation.tensors['state'][0, 0] == 9.0


def test_clear_forgets_every_sample(running: ObservationAssembler) -> None:
    running.clear()
    assert running.reference_time() is None
    assert len(codes(running.assemble(0))) == 3


def test_every_code_has_advice_and_a_text_form(running: ObservationAssembler) -> None:
    assert set(ADVICE) == set(ReasonCode)
    running.clear()
    text = str(running.assemble(0).reasons[1])
    assert text.startswith('MISSING cameras/front: nothing has arrived; start its driver')


def test_a_joint_state_that_cannot_be_true_reaches_no_policy(
    running: ObservationAssembler, push_joints: Push, noise_image: Noise
) -> None:
    """Regressions pinned: one state of zeros in AUTO was given to the policy."""
    for i in range(31, 40):
        ms = i * 10
        wrong = push_joints(running, ms * MS - 3 * MS, 0.0, 2.9, 0.0, arrival_ns=ms * MS - 3 * MS)
        assert wrong is PushResult.IMPLAUSIBLE
        assert push_joints(running, ms * MS, 3.0, 0.0, 0.0, arrival_ns=ms * MS) is (
            PushResult.ACCEPTED
        )
    for camera in ('front', 'side'):
        show(running, camera, 363 * MS, noise_image(50))
    observation = running.assemble(363 * MS, now_ns=390 * MS, now_mono_ns=390 * MS)
    assert codes(observation) == []
    assert list(observation.tensors['state'].ravel()) == [3.0, 0.0, 0.0]
    assert running.counters()['joint_states'].implausible == 9


def test_joint_states_that_cannot_be_true_are_named_until_they_last(
    running: ObservationAssembler, push_joints: Push
) -> None:
    results = []
    for i in range(31, 70):
        ms = i * 10
        results.append(push_joints(running, ms * MS, -2.0, 0.0, 0.0, arrival_ns=ms * MS))
        if i == 45:
            observation = running.assemble(ms * MS, now_ns=ms * MS, now_mono_ns=ms * MS)
            assert 'IMPLAUSIBLE joint_states' in codes(observation)
    assert results[24] is PushResult.IMPLAUSIBLE
    assert results[-1] is PushResult.ACCEPTED
    assert 'IMPLAUSIBLE joint_states' not in codes(running.assemble(600 * MS))
