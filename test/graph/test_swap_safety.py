# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Swaps that go wrong, shadows that never act, and models from where they may not come."""

from __future__ import annotations

from pathlib import Path
import shutil

from harness import policies
import numpy as np
import onnx
from onnx import numpy_helper
import pytest

from bc_msgs import msg as bc_msg
from bc_runtime.ros import qos


def jumping(path: Path, orbit: Path) -> Path:
    """Write a policy that jumps whenever it is asked for what the other one does."""
    model = onnx.load(str(orbit))
    for constant in model.graph.initializer:
        if constant.name == 'at_jump':
            everyday = np.array([policies.INSTRUCTIONS.index(policies.SCENES[0])], np.int64)
            constant.CopyFrom(numpy_helper.from_array(everyday, 'at_jump'))
    onnx.save(model, str(path))
    return path


@pytest.fixture
def other(tmp_path, orbit):
    """Return the same policy under another id."""
    model = onnx.load(str(orbit))
    model.doc_string = 'another file'
    onnx.save(model, str(tmp_path / 'other.onnx'))
    return tmp_path / 'other.onnx'


def while_moving(deployment, condition, what):
    """Wait for something that needs motion; a stop by a busy machine is resumed."""
    w = deployment.witness
    w.until(lambda: condition() or w.state == 'HELD', what)
    for _ in range(5):
        if condition():
            return
        deployment.auto()
        w.until(lambda: condition() or w.state == 'HELD', what)
    assert condition(), f'{what}; {w.tell()}'


def test_a_policy_whose_first_chunks_are_rejected_gives_way_to_the_old_one(
    deploy, tmp_path, orbit, other
):
    folder = orbit.parent
    bad = jumping(folder / 'jumping.onnx', orbit)
    good = folder / 'good.onnx'
    shutil.copy(other, good)
    deployment = deploy()
    w = deployment.witness
    deployment.say(policies.SCENES[0])
    infos = []
    w.node.create_subscription(bc_msg.PolicyInfo, 'policy_info', infos.append, qos.EVENTS)
    deployment.auto()
    first = w.policy.policy_id

    w.set_parameters('inference', {'model': str(bad)})
    w.until(lambda: any(i.policy_id not in ('', first) for i in infos), 'the new policy')
    while_moving(
        deployment,
        lambda: infos[-1].policy_id == first and infos[-1].state == 2,
        'the old policy in charge again',
    )
    assert 'rolled back' in infos[-1].message
    seen = len(w.chunks)
    while_moving(deployment, lambda: len(w.chunks) > seen + 10, 'chunks of the old policy')
    assert w.chunks[-1].policy_id == first
    assert any('POLICY_ROLLED_BACK' in status.reason for status in w.statuses)
    codes = {event.code for event in w.events}
    assert not codes & {'CHUNKS_REJECTED', 'CHUNKS_MALFORMED'}, w.tell()
    assert 'jumps by' in deployment.log('controller')
    deployment.audit()

    # A good one stays, and what it replaced can be had back by hand.
    w.set_parameters('inference', {'model': str(good)})
    w.until(lambda: infos[-1].policy_id not in ('', first) and infos[-1].state == 2, 'the good')
    second = infos[-1].policy_id
    seen = len(w.chunks)
    while_moving(deployment, lambda: len(w.chunks) > seen + 20, 'chunks of the good policy')
    assert infos[-1].policy_id == second
    w.ask('inference/rollback')
    w.until(lambda: infos[-1].policy_id == first and infos[-1].state == 2, 'the first policy')
    deployment.audit()


def test_models_come_from_allowed_folders_only(deploy, tmp_path, orbit):
    deployment = deploy()
    w = deployment.witness
    outside = tmp_path / 'elsewhere'
    outside.mkdir()
    stranger = outside / 'stranger.onnx'
    shutil.copy(orbit, stranger)
    refused = w.try_parameters('inference', {'model': str(stranger)})
    assert 'these directories only' in refused
    link = orbit.parent / 'link.onnx'
    link.symlink_to(stranger)
    assert 'these directories only' in w.try_parameters('inference', {'model': str(link)})
    assert 'model_directories' in w.try_parameters('inference', {'model_directories': ['/']})
    # Nothing that matters for safety can be set on the controller while it runs.
    for name, value in {
        'robot': 'sim_arm', 'dry_run': True, 'strategy': 'latest', 'on_jump': 'off',
        'on_out_of_range': 'off', 'range_tolerance': 9.0, 'jump_max_s': 60.0, 'rollback': False,
        'auto_resume': True, 'human_mode': 'relative', 'rejected_limit': 1000, 'jerk': True,
    }.items():  # fmt: skip
        assert 'read' in w.try_parameters('controller', {name: value}), name


def test_a_shadow_sees_the_same_and_never_acts(deploy, tmp_path, orbit, other):
    deployment = deploy(arguments={'shadow_model': str(other)})
    w = deployment.witness
    chunks, infos = [], []
    listen = w.node.create_subscription
    listen(bc_msg.ActionChunk, 'shadow/action_chunk', chunks.append, qos.DATA)
    listen(bc_msg.PolicyInfo, 'shadow/policy_info', infos.append, qos.LATCHED)
    w.until(lambda: infos and infos[-1].policy_id, 'the shadow')
    deployment.auto()
    w.until(lambda: len(chunks) > 20, 'chunks of the shadow')
    mine = {c.policy_id for c in w.chunks}
    assert {c.policy_id for c in chunks} == {infos[-1].policy_id}
    assert infos[-1].policy_id not in mine
    publishers = w.node.get_publishers_info_by_topic('/joint_trajectory')
    assert [p.node_name for p in publishers] == ['controller']
    readers = w.node.get_subscriptions_info_by_topic('/shadow/action_chunk')
    assert [r.node_name for r in readers] == ['witness']
    # Its end is nobody's end.
    deployment.expect_end('shadow_inference')
    deployment.kill('shadow_inference')
    w.ticks(100)
    assert w.state == 'AUTO'
    deployment.audit()
