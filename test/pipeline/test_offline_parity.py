# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Observations made from a bag are, bit for bit, those that the policy saw live."""

from __future__ import annotations

from collections import Counter
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bc_msgs import msg as bc_msg
from bc_runtime.observation import Observation
from bc_runtime.observation.binding import bind
from bc_runtime.offline import observe_bag
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.recording.reader import BagReader, find_bags
from bc_runtime.recording.topic_flow import parse_audit
from bc_runtime.resources import model_directories, robot_file
from bc_runtime.ros import convert
from bc_runtime.spec import RobotConfig

NS = 1_000_000_000
MODEL = 'sim_arm_act'


@pytest.fixture(scope='module')
def raw_bag(tmp_path_factory: pytest.TempPathFactory, module_domain: int) -> Path:
    """Record a second and a half of the real graph, pictures uncompressed."""
    out = tmp_path_factory.mktemp('parity')
    command = [sys.executable, '-m', 'bc_runtime.cli.main', 'demo', '--model', MODEL]
    command += ['--episodes', '1', '--timeout', '1.5', '--record', 'raw', '--no-report']
    done = subprocess.run(
        [*command, '--headless', '--out', str(out)],
        env={**os.environ, 'ROS_DOMAIN_ID': str(module_domain)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    bags = find_bags(out / 'bags')
    assert bags, done.stderr
    return bags[0]


def _as_message(observation: Observation) -> bc_msg.Observation:
    return convert.observation_to_msg(
        observation, sequence=0, epoch=0, policy_id='', anchor={}, assembly_s=0.0
    )


def _samples(message: Any) -> dict[str, str]:
    """Return what tells the samples that were used: the newest one, and the farthest."""
    return {s.name: f'{convert.to_ns(s.stamp)} +- {s.skew:.9f} s' for s in message.streams}


@pytest.mark.ros
def test_live_and_offline_observations_parity(raw_bag: Path) -> None:
    """Regressions pinned: the live observation used a picture that the bag lacked, and the bag
    counted no loss."""
    with BagReader(raw_bag) as bag:
        live = [m.decode() for m in bag.messages(['/observation'])]
        first_ns, last_ns = bag.start_ns, bag.end_ns
    stamps = [m.header.stamp.sec * NS + m.header.stamp.nanosec for m in live]
    # The streams reach back before the bag's first message only live, and at the end an
    # observation may have come to the recorder before the picture that it was made of.
    kept = [
        (m, t)
        for m, t in zip(live, stamps, strict=True)
        if m.valid and first_ns + NS // 5 < t < last_ns - NS // 5
    ]
    assert len(kept) >= 10
    spec = spec_of(MODEL, model_directories())
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    offline = observe_bag(raw_bag, [t for _, t in kept], spec=spec, robot=robot)
    topics = {name: f'/{stream.topic}' for name, stream in bind(spec, robot).items()}
    with BagReader(raw_bag) as bag:
        audits = parse_audit(bag.custom_data['bc.audit'])
    unlike, missing = 0, Counter[str]()
    for (message, _), observation in zip(kept, offline, strict=True):
        if not observation.valid:
            unlike += 1
            missing.update(report.name for report in observation.streams if report.reason)
            continue
        if _samples(message) != _samples(_as_message(observation)):
            unlike += 1
            for used, found in zip(message.streams, _as_message(observation).streams, strict=True):
                newer = convert.to_ns(used.stamp) - convert.to_ns(found.stamp)
                if newer > 0 or (newer == 0 and used.skew < found.skew - 1e-9):
                    missing[used.name] += 1  # else the bag has one that the node did not get
            continue
        assert observation.instruction == message.instruction
        for tensor in message.tensors:
            seen = np.frombuffer(bytes(tensor.data), dtype=tensor.dtype)
            made = observation.tensors[tensor.name]
            assert made.shape == tuple(tensor.shape)
            assert made.tobytes() == seen.tobytes(), tensor.name
    # Sensors are best effort: on a machine that is held up a sample may reach the node alone. Then
    # the recorder has counted its loss.
    for name, count in missing.items():
        assert audits[topics[name]].lost > 0, f'{count} samples of {name} are not in the bag'
    assert unlike < len(kept)
