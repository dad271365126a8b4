# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations
import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from bc_runtime.sim.errors import SimError
from bc_runtime.sim.scene import sample_scene
from bc_runtime.sim.task import COLOURS, INSTRUCTIONS, TRAY_CENTRE, TRAY_HALF_M

PINNED_INSTRUCTION = 'put the green cube in the tray'
PINNED_RED = (0.19066529562219064, 0.03179481237764775)
PINNED_JOINT_6 = -0.04947346954344253

SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS)
def test_scene_of_a_seed_is_always_the_same_property(seed: int) -> None:
    assert sample_scene(seed) == sample_scene(seed)


@given(SEEDS)
def test_cubes_are_apart_and_outside_the_tray_property(seed: int) -> None:
    scene = sample_scene(seed)
    places = list(scene.cubes.values())
    assert set(scene.cubes) == set(COLOURS)
    for one, other in combinations(places, 2):
        assert math.hypot(one.x - other.x, one.y - other.y) >= 0.10
    for place in places:
        assert place.y - 0.025 * math.sqrt(2) > TRAY_CENTRE[1] + TRAY_HALF_M + 0.02


@given(SEEDS, st.sampled_from(sorted(INSTRUCTIONS.values())))
def test_naming_an_instruction_changes_nothing_else_property(seed: int, instruction: str) -> None:
    drawn, named = sample_scene(seed), sample_scene(seed, instruction)
    assert named.instruction == instruction
    assert INSTRUCTIONS[named.target] == instruction
    assert (named.cubes, named.arm_start) == (drawn.cubes, drawn.arm_start)


def test_scene_is_the_same_on_every_machine() -> None:
    """Pins the stream of random numbers: evaluations name their scenes by seed alone."""
    scene = sample_scene(7)
    assert scene.instruction == PINNED_INSTRUCTION
    assert (scene.cubes['red'].x, scene.cubes['red'].y) == pytest.approx(PINNED_RED, abs=1e-12)
    assert scene.arm_start[5] == pytest.approx(PINNED_JOINT_6, abs=1e-12)


def test_all_instructions_are_drawn() -> None:
    assert {sample_scene(seed).target for seed in range(30)} == set(COLOURS)


def test_unknown_instruction_lists_the_known_ones() -> None:
    with pytest.raises(SimError, match=r'put the red cube in the tray.*got .fetch the red cube'):
        sample_scene(0, 'fetch the red cube')


def test_negative_seed_is_refused() -> None:
    with pytest.raises(SimError, match='zero or more, got -1'):
        sample_scene(-1)
