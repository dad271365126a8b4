# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The reference pages: their examples are valid, and every key of the schema is on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
import re
from typing import Any

import pytest
import yaml

from bc_runtime.spec import PolicySpec, RobotConfig


def example(page: Path) -> str:
    """Return the page's example of a whole file: the one that begins with the schema's version."""
    found = re.findall(r'```yaml\n(.*?)```', page.read_text(encoding='utf-8'), re.DOTALL)
    blocks = [block for block in found if block.startswith('schema_version:')]
    assert len(blocks) == 1
    return str(blocks[0])


def keys(value: Any, free: tuple[str, ...]) -> Iterator[str]:
    """Yield every key of a nested mapping; the keys below `free` are names, not keywords."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield key
            inside = child.values() if key in free and isinstance(child, Mapping) else [child]
            for each in inside:
                yield from keys(each, free)
    elif isinstance(value, list):
        for child in value:
            yield from keys(child, free)


def test_the_policy_page(repository: Path, spec: dict[str, Any], tmp_path: Path) -> None:
    page = repository / 'docs' / 'reference' / 'policy_file.md'
    (tmp_path / 'spec.yaml').write_text(example(page), encoding='utf-8')
    read = PolicySpec.from_yaml_file(tmp_path / 'spec.yaml')
    assert read.action_names == ('lift', 'turn', 'grip')
    text = page.read_text(encoding='utf-8')
    spec.pop('source')
    missing = {
        key
        for key in keys(spec, ('training_ranges', 'table'))
        if not re.search(rf'\b{re.escape(key)}\b', text)
    }
    assert not missing
    for name in (
        'quaternion',
        'rotation_6d',
        'axis_angle',
        'weights',
        'exponential',
        'center_crop',
    ):
        assert name in text


@pytest.mark.parametrize('method', ['ddim', 'euler'])
def test_the_section_of_two_graphs(repository: Path, method: str) -> None:
    page = repository / 'docs' / 'reference' / 'policy_file.md'
    text = page.read_text(encoding='utf-8')
    (block,) = re.findall(r'```yaml\n(sampling:\n.*?)```', text, re.DOTALL)
    spec = {**yaml.safe_load(example(page)), **yaml.safe_load(block)}
    noise = {'kind': 'noise', 'distribution': 'normal', 'name': 'noise', 'shape': [1, 13, 3]}
    spec['inputs'].append(noise)
    section = spec['sampling']
    section['step_sha256'] = 64 * '5'
    if method == 'euler':
        for key in ('schedule', 'train_steps', 'beta_start', 'beta_end', 'clipped_noise'):
            del section[key]
        section |= {'method': 'euler', 'prediction': 'velocity', 'start': 0, 'end': 1}
    read = PolicySpec.from_dict(spec)
    assert read.sampling is not None
    assert read.sampling.to_dict() == section
    assert PolicySpec.from_json(read.to_json()) == read
    assert not {key for key in section if not re.search(rf'\b{key}\b', text)}


@pytest.mark.parametrize('origin', ['example', 'defaults'])
def test_the_robot_page(repository: Path, robot: dict[str, Any], origin: str) -> None:
    page = repository / 'docs' / 'reference' / 'robot_yaml.md'
    config = RobotConfig.from_yaml(example(page))
    assert config.joint_names == ('lift', 'wheel', 'grip')
    text = page.read_text(encoding='utf-8')
    value = robot if origin == 'defaults' else yaml.safe_load(example(page))
    missing = {
        key
        for key in keys(value, ('cameras', 'streams'))
        if key not in ('force_z',) and not re.search(rf'\b{re.escape(key)}\b', text)
    }
    assert not missing
