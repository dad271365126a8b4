# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into the tensors: names, order, time, history, instruction, anchor."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np
import pytest

from bc_runtime.observation import (
    Alignment,
    AlignMode,
    CompressedImage,
    Defect,
    ObservationAssembler,
    PushResult,
    RawImage,
    ReasonCode,
    UnknownInstruction,
    UnknownStream,
    choose_stamp,
    resize_image,
)
from bc_runtime.spec import ObservationError, PolicySpec, ResizeRule, RobotConfig

MS = 1_000_000
FRAME = 33 * MS
Specs = Callable[..., PolicySpec]
Robots = Callable[..., RobotConfig]
Push = Callable[..., PushResult]
Noise = Callable[..., RawImage]


def show(assembler: ObservationAssembler, camera: str, t: int, image: RawImage) -> PushResult:
    return assembler.push_image(camera, stamp_ns=t, arrival_ns=None, image=image)


def test_joints_are_found_by_name_in_any_order_and_interpolated(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(joints=['gripper', 'shoulder']))
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    push_joints(assembler, 0, 1.0, 0.0, 0.05)
    result = push_joints(
        assembler,
        10 * MS,
        names=('other', 'gripper', 'wrist', 'shoulder'),
        position=(99.0, 0.07, 0.0, 2.0),
    )
    assert result is PushResult.ACCEPTED
    observation = assembler.assemble(5 * MS)
    assert observation.valid
    tensor = observation.tensors['state']
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, [[0.06, 1.5]], rtol=1e-6)


def test_velocity_and_effort_and_nan_in_what_is_not_used(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    nan = float('nan')
    spec = make_spec(
        inputs.state(joints=['wrist'], quantity='velocity', units=['rad/s'], name='speed'),
        inputs.state(joints=['shoulder'], quantity='effort', units=['N m'], name='torque'),
    )
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    result = push_joints(
        assembler, 0, nan, nan, nan, velocity=(nan, 2.0, nan), effort=(3.0, nan, nan)
    )
    assert result is PushResult.ACCEPTED
    tensors = assembler.assemble(0).tensors
    np.testing.assert_array_equal(tensors['speed'], [[2.0]])
    np.testing.assert_array_equal(tensors['torque'], [[3.0]])


def test_continuous_joint_crosses_the_turn(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.state()), robot=make_robot())
    push_joints(assembler, 0, 2.0, 3.1, 0.0)
    push_joints(assembler, 10 * MS, -2.0, -3.1, 0.0)
    shoulder, wrist, _ = assembler.assemble(5 * MS).tensors['state'][0]
    assert shoulder == 0.0
    assert abs(wrist) == pytest.approx(np.pi)


def test_pictures_are_resized_laid_out_and_scaled(
    make_spec: Specs, make_robot: Robots, inputs: Any, noise_image: Noise
) -> None:
    spec = make_spec(
        inputs.image('front'),
        inputs.image(
            'front',
            name='again',
            layout='CHW',
            dtype='float32',
            value_range=[0.0, 1.0],
            color='bgr',
        ),
    )
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    image = noise_image(3)
    show(assembler, 'front', 0, image)
    tensors = assembler.assemble(0).tensors
    pixels = np.frombuffer(image.data, np.uint8).reshape(12, 16, 3)
    small = resize_image(pixels, ResizeRule(), 6, 8)
    np.testing.assert_array_equal(tensors['front'], small[np.newaxis])
    expected = np.moveaxis(small[..., ::-1], 2, 0).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(tensors['again'], expected[np.newaxis])
    assert assembler.counters()['cameras/front'].decoded == 2, 'one per colour order'


def test_compressed_camera(make_spec: Specs, make_robot: Robots, inputs: Any) -> None:
    import cv2

    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    data = cv2.imencode('.png', rgb[..., ::-1])[1].tobytes()
    assembler = ObservationAssembler(spec=make_spec(inputs.image('side')), robot=make_robot())
    image = CompressedImage(format='rgb8; png compressed bgr8', data=data)
    assembler.push_image('side', stamp_ns=0, arrival_ns=None, image=image)
    np.testing.assert_array_equal(assembler.assemble(0).tensors['side'][0], rgb)


@pytest.mark.parametrize('values', [{'force_z': 7.0, 'force_x': 1.0}, [1.0, 7.0]])
def test_vector_streams_by_name_or_in_the_order_of_the_yaml(
    values: Any, make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.vector()), robot=make_robot())
    assembler.push_vector('wrench', stamp_ns=0, arrival_ns=None, values=values)
    np.testing.assert_array_equal(assembler.assemble(0).tensors['wrench'], [[7.0]])


def test_history_is_oldest_first_and_by_time_not_by_count(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, noise_image: Noise
) -> None:
    spec = make_spec(inputs.state(3), inputs.image(n_obs_steps=3), n_obs_steps=3, control_hz=10)
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    for i in range(26):
        push_joints(assembler, i * 10 * MS, float(i), 0.0, 0.0)
    pictures = {t: noise_image(t) for t in (10, 40, 60, 110, 120, 210)}
    for t, image in pictures.items():
        show(assembler, 'front', t * MS, image)
    observation = assembler.assemble(215 * MS)
    assert observation.valid, observation.reasons
    state = observation.tensors['state']
    assert state.shape == (1, 3, 3)
    np.testing.assert_allclose(state[0, :, 0], [1.5, 11.5, 21.5])
    expected = [
        resize_image(
            np.frombuffer(pictures[t].data, np.uint8).reshape(12, 16, 3), ResizeRule(), 6, 8
        )
        for t in (10, 110, 210)
    ]
    np.testing.assert_array_equal(observation.tensors['front'][0], expected)
    front = next(r for r in observation.streams if r.name == 'cameras/front')
    assert front.stamp_ns == 210 * MS
    assert front.skew_ns == 5 * MS


def test_a_long_history_is_kept_without_being_asked_for(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(30), n_obs_steps=30, control_hz=10)
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    for i in range(400):
        push_joints(assembler, i * 10 * MS, i / 100.0, 0.0, 0.0)
    state = assembler.assemble(3990 * MS).tensors['state']
    np.testing.assert_allclose(state[0, :, 0], 3.99 - 0.1 * np.arange(29, -1, -1), atol=1e-6)


def test_a_single_history_dimension_is_kept_where_the_graph_has_it(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(shape=[1, 1, 3]))
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    push_joints(assembler, 0, 1.0, 2.0, 0.05)
    assert assembler.assemble(0).tensors['state'].shape == (1, 1, 3)


def test_repeat_first_fills_only_the_time_before_the_first_observation(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(3), n_obs_steps=3, control_hz=10)
    robot = make_robot()
    waiting = ObservationAssembler(spec=spec, robot=robot)
    repeating = ObservationAssembler(spec=spec, robot=robot, history_start='repeat_first')
    for assembler in (waiting, repeating):
        for i in range(16):
            push_joints(assembler, i * 10 * MS, float(i), 0.0, 0.0)
    observation = waiting.assemble(150 * MS)
    assert [r.code.value for r in observation.reasons] == ['HISTORY']
    assert '50.0 ms newer than the wanted time' in str(observation.reasons[0])
    state = repeating.assemble(150 * MS).tensors['state']
    np.testing.assert_array_equal(state[0, :, 0], [0.0, 5.0, 15.0])
    repeating.start_episode(120 * MS)
    state = repeating.assemble(150 * MS).tensors['state']
    np.testing.assert_array_equal(state[0, :, 0], [12.0, 12.0, 15.0])


def test_repeat_first_never_hides_a_history_that_was_forgotten(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(inputs.state(3), n_obs_steps=3, control_hz=10)
    assembler = ObservationAssembler(
        spec=spec, robot=make_robot(), history_start='repeat_first', horizon_s=0.1
    )
    for i in range(100):
        push_joints(assembler, i * 10 * MS, float(i), 0.0, 0.0)
    observation = assembler.assemble(990 * MS)
    assert [r.code.value for r in observation.reasons] == ['HISTORY']


def test_instruction_as_embedding_tokens_and_text(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    tokens = {'kind': 'tokens', 'name': 'tokens', 'shape': [1, 2]}
    text = {'kind': 'text', 'name': 'words', 'shape': [1]}
    spec = make_spec(inputs.task(), {**tokens, 'table': {'take the cup': [3, 4]}}, text)
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    assembler.set_instruction('take the cup')
    observation = assembler.assemble(0)
    assert observation.valid
    assert observation.instruction == 'take the cup'
    np.testing.assert_array_equal(observation.tensors['task'], np.float32([[1, 0]]))
    np.testing.assert_array_equal(observation.tensors['tokens'], np.int64([[3, 4]]))
    assert observation.tensors['tokens'].dtype == np.int64
    assert observation.tensors['words'].tolist() == ['take the cup']
    assert list(observation.tensors) == ['task', 'tokens', 'words'], 'order of the spec'


def test_an_unknown_instruction_revokes_the_one_before(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.task()), robot=make_robot())
    assert [r.code.value for r in assembler.assemble(0).reasons] == ['NO_INSTRUCTION']
    assert "'leave the cup', 'take the cup'" in assembler.assemble(0).reasons[0].text
    assembler.set_instruction('take the cup')
    assert assembler.assemble(0).valid
    with pytest.raises(UnknownInstruction) as caught:
        assembler.set_instruction('take the cups')
    assert "'leave the cup', 'take the cup'" in str(caught.value)
    assert "Did you mean 'take the cup'?" in str(caught.value)
    observation = assembler.assemble(0)
    assert [r.code.value for r in observation.reasons] == ['UNKNOWN_INSTRUCTION']
    assert observation.streams[0].reason == 'UNKNOWN_INSTRUCTION'
    assert not observation.tensors
    assembler.set_instruction('leave the cup')
    np.testing.assert_array_equal(assembler.assemble(0).tensors['task'], [[0.0, 1.0]])
    assembler.set_instruction('')
    assert [r.code.value for r in assembler.assemble(0).reasons] == ['NO_INSTRUCTION']


def test_a_policy_without_instruction_ignores_them(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.state()), robot=make_robot())
    assembler.set_instruction('anything')
    push_joints(assembler, 0)
    observation = assembler.assemble(0)
    assert observation.valid
    assert observation.instruction == ''


def test_anchor_is_the_observed_position_in_full_precision(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    spec = make_spec(
        inputs.vector(), reference='observation_state', action_names=('shoulder', 'force_z')
    )
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    push_joints(assembler, 0, 0.1, 0.0, 0.0)
    push_joints(assembler, 10 * MS, 0.3, 0.0, 0.0)
    for t, force in ((0, 4.0), (10, 5.0)):
        assembler.push_vector('wrench', stamp_ns=t * MS, arrival_ns=None, values=[0.0, force])
    observation = assembler.assemble(5 * MS)
    assert observation.anchor == {'shoulder': 0.1 + (0.3 - 0.1) * 0.5, 'force_z': 4.0}
    assert 'state' not in observation.tensors


def test_latency_moves_a_stream_back_in_time(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, noise_image: Noise
) -> None:
    robot = make_robot(('front/image_raw,', 'front/image_raw, latency_s: 0.02,'))
    spec = make_spec(inputs.state(), inputs.image())
    assembler = ObservationAssembler(spec=spec, robot=robot)
    for i in range(11):
        push_joints(assembler, i * 10 * MS, float(i), 0.0, 0.0)
    show(assembler, 'front', 100 * MS, noise_image(0))
    assert assembler.reference_time() == 80 * MS
    assert assembler.assemble(80 * MS).tensors['state'][0, 0] == 8.0


def test_tensors_are_read_only_and_samples_are_not_copied(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, raw_image: Any
) -> None:
    spec = make_spec(inputs.state(), inputs.image(), inputs.task())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    assembler.set_instruction('take the cup')
    push_joints(assembler, 0)
    image = raw_image(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    show(assembler, 'front', 0, image)
    tensors = assembler.assemble(0).tensors
    assert not any(tensor.flags.writeable for tensor in tensors.values())
    assert np.shares_memory(tensors['front'], np.frombuffer(image.data, np.uint8))
    with pytest.raises(TypeError):
        tensors['state'] = np.zeros(3)  # type: ignore[index]


def test_what_the_policy_does_not_use_is_refused_or_ignored(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push, noise_image: Noise
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.image()), robot=make_robot())
    assert push_joints(assembler, 0) is PushResult.NOT_NEEDED
    with pytest.raises(UnknownStream, match=r"'cameras/side'; it uses: cameras/front"):
        show(assembler, 'side', 0, noise_image(0))
    with pytest.raises(UnknownStream, match='streams/wrench'):
        assembler.push_vector('wrench', stamp_ns=0, arrival_ns=None, values=[1.0, 2.0])


def test_alignments_and_history_start_are_checked(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    spec, robot = make_spec(inputs.image()), make_robot()
    wanted = Alignment(mode=AlignMode.NEAREST, max_skew_ns=1, max_age_ns=1)
    with pytest.raises(ObservationError, match=r'cameras/top; streams: cameras/front'):
        ObservationAssembler(spec=spec, robot=robot, alignments={'cameras/top': wanted})
    between = dataclasses.replace(wanted, mode=AlignMode.INTERPOLATE)
    with pytest.raises(ObservationError, match='cannot be interpolated'):
        ObservationAssembler(spec=spec, robot=robot, alignments={'cameras/front': between})
    with pytest.raises(ObservationError, match='wait or repeat_first'):
        ObservationAssembler(spec=spec, robot=robot, history_start='zeros')


def test_an_alignment_can_be_replaced(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    nearest = Alignment(mode=AlignMode.NEAREST, max_skew_ns=100 * MS, max_age_ns=100 * MS)
    assembler = ObservationAssembler(
        spec=make_spec(inputs.state()), robot=make_robot(), alignments={'joint_states': nearest}
    )
    push_joints(assembler, 0, 1.0, 0.0, 0.0)
    push_joints(assembler, 10 * MS, 2.0, 0.0, 0.0)
    assert assembler.assemble(6 * MS).tensors['state'][0, 0] == 2.0


def test_choose_stamp_follows_the_robot_yaml(make_robot: Robots) -> None:
    header = make_robot().cameras['front']
    arrival = make_robot(('front/image_raw,', 'front/image_raw, clock: arrival,')).cameras['front']
    assert choose_stamp(header, header_ns=5, received_ns=9) == 5
    assert choose_stamp(arrival, header_ns=5, received_ns=9) == 9
    assert choose_stamp(arrival, header_ns=None, received_ns=9) == 9
    with pytest.raises(ObservationError, match=r'front/image_raw.*clock: arrival'):
        choose_stamp(header, header_ns=None, received_ns=9)


def test_a_policy_that_takes_over_has_the_history_already(
    make_spec: Specs, make_robot: Robots, inputs: Any, push_joints: Push
) -> None:
    robot = make_robot()
    old = ObservationAssembler(spec=make_spec(inputs.state(3), n_obs_steps=3), robot=robot)
    for k in range(40):
        push_joints(old, k * 10 * MS, 0.01 * k, 0.0, 0.05)
    new = ObservationAssembler(spec=make_spec(inputs.state(3), n_obs_steps=3), robot=robot)
    assert not new.assemble(390 * MS).valid
    new.adopt(old)
    assert new.assemble(390 * MS).tensors['state'].tobytes() == (
        old.assemble(390 * MS).tensors['state'].tobytes()
    )
    # Whoever reads other joints cannot use the rows of this one.
    other = ObservationAssembler(
        spec=make_spec(inputs.state(joints=['shoulder'], units=['rad'])), robot=robot
    )
    other.adopt(old)
    assert not other.assemble(390 * MS).valid


def test_a_message_that_lacks_its_field_makes_the_observation_invalid(
    make_spec: Specs, make_robot: Robots, inputs: Any
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.vector()), robot=make_robot())
    lack = Defect(code=ReasonCode.MISSING_FIELD, text='data[3] is not there')
    assembler.push_vector('wrench', stamp_ns=0, arrival_ns=None, values=lack)
    observation = assembler.assemble(0)
    assert not observation.valid
    assert 'data[3] is not there' in str(observation.reasons[0])
