# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What `ros2 launch` may be told; the launch file itself is tried in test/graph/test_launch.py."""

from __future__ import annotations

import pytest

from bc_runtime.deployment import ARGUMENTS, describe
from bc_runtime.launch_arguments import in_group, refuse_undeclared
from bc_runtime.spec import ConfigError

NAMES = [argument.name for argument in ARGUMENTS]


def test_what_is_declared_and_what_launch_itself_reads_is_taken() -> None:
    refuse_undeclared([*NAMES, 'launch-prefix', 'emulate_tty', 'sigterm_timeout'])


@pytest.mark.parametrize('name', NAMES)
def test_a_misspelt_argument_is_refused_with_the_one_that_was_meant(name: str) -> None:
    """Regressions pinned: `dryrun:=true` was taken in silence, and the robot moved."""
    wrong = {name[:-1], name + 's', name[0].upper() + name[1:], name.replace('_', '') + 'x'}
    for each in wrong - set(NAMES):
        with pytest.raises(ConfigError, match=f'unknown launch argument {each};') as caught:
            refuse_undeclared(['robot', each])
        assert f"Did you mean '{name}'?" in str(caught.value)
        with pytest.raises(ConfigError, match='Did you mean'):
            describe({each: 'true'})


def test_every_misspelt_argument_is_named() -> None:
    with pytest.raises(ConfigError, match='Dry_run, dryrun') as caught:
        refuse_undeclared(['dryrun', 'Dry_run'])
    assert str(caught.value).count("Did you mean 'dry_run'?") == 1


@pytest.mark.parametrize(
    ('pushed', 'own', 'whole'),
    [
        (None, '', ''),
        (None, 'left', 'left'),
        ('/cell', '', '/cell'),
        ('/cell', 'left', '/cell/left'),
        ('/cell/', 'left/', '/cell/left'),
        ('/cell', '/left', '/left'),
        ('/', 'left', 'left'),
    ],
)
def test_a_group_pushes_its_namespace(pushed: str | None, own: str, whole: str) -> None:
    configurations = {} if pushed is None else {'ros_namespace': pushed}
    assert in_group({'namespace': own, 'robot': 'x'}, configurations) == {
        'namespace': whole,
        'robot': 'x',
    }


@pytest.mark.parametrize(
    ('key', 'value', 'word'),
    [
        ('global_params', [('use_sim_time', True)], 'use_sim_time:='),
        ('ros_remaps', [('joint_states', 'arm/joint_states')], 'YAML'),
    ],
)
def test_what_a_group_sets_in_vain_is_refused(key: str, value: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        in_group({'namespace': ''}, {key: value})
    assert in_group({'namespace': ''}, {key: []}) == {'namespace': ''}
