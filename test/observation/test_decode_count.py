# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures are decoded when an observation uses them, once, and never otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bc_runtime.observation import ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ('n_obs_steps', 'control_hz', 'per_second'),
    [
        (1, 10.0, 10),
        (2, 10.0, 10),  # the history at t - 100 ms was decoded for the observation before
        (2, 20.0, 20),  # the history at t - 50 ms was not seen before
        (3, 20.0, 20),  # t - 100 ms was, t - 50 ms was not
    ],
)
def test_a_60_hz_camera_under_a_10_hz_policy_costs_10_decodes_a_second(
    n_obs_steps: int,
    control_hz: float,
    per_second: int,
    make_spec: Callable[..., PolicySpec],
    make_robot: Callable[..., RobotConfig],
    inputs: Any,
    push_joints: Callable[..., PushResult],
    noise_image: Callable[[int], RawImage],
) -> None:
    spec = make_spec(
        inputs.state(n_obs_steps),
        inputs.image('front', n_obs_steps),
        n_obs_steps=n_obs_steps,
        control_hz=control_hz,
    )
    robot = make_robot(('front/image_raw, rate_hz: 30.0', 'front/image_raw, rate_hz: 60.0'))
    assembler = ObservationAssembler(spec=spec, robot=robot, history_start='repeat_first')
    count = 0
    for i in range(5 * 60 + 1):
        t = round(i * SECOND / 60)
        push_joints(assembler, t)
        assembler.push_image('front', stamp_ns=t, arrival_ns=None, image=noise_image(i))
        if i % 6 == 0:
            observation = assembler.assemble(t)
            assert observation.valid, observation.reasons
            count += 1
    counters = assembler.counters()['cameras/front']
    assert count == 51
    assert counters.accepted == 301
    assert abs(counters.decoded - 5 * per_second) <= n_obs_steps


def test_observing_the_same_time_again_decodes_nothing(
    make_spec: Callable[..., PolicySpec],
    make_robot: Callable[..., RobotConfig],
    inputs: Any,
    noise_image: Callable[[int], RawImage],
) -> None:
    assembler = ObservationAssembler(spec=make_spec(inputs.image()), robot=make_robot())
    assembler.push_image('front', stamp_ns=0, arrival_ns=None, image=noise_image(0))
    first = assembler.assemble(0)
    second = assembler.assemble(0)
    assert first.tensors['front'].tobytes() == second.tensors['front'].tobytes()
    assert assembler.counters()['cameras/front'].decoded == 1


def test_an_invalid_observation_decodes_nothing(
    make_spec: Callable[..., PolicySpec],
    make_robot: Callable[..., RobotConfig],
    inputs: Any,
    noise_image: Callable[[int], RawImage],
) -> None:
    spec = make_spec(inputs.image(), inputs.task())
    assembler = ObservationAssembler(spec=spec, robot=make_robot())
    assembler.push_image('front', stamp_ns=0, arrival_ns=None, image=noise_image(0))
    assert not assembler.assemble(0).valid
    assert assembler.counters()['cameras/front'].decoded == 0
