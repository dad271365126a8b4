# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The options of strategies as parameters of a real node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from bc_runtime.control import ControlOptions
from bc_runtime.ros.controller_parameters import PARAMETERS, control_options
from bc_runtime.ros.parameters import declare
from bc_runtime.spec import ConfigError


@pytest.fixture
def context(ros_domain: int) -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made, domain_id=ros_domain)
    yield made
    made.try_shutdown()


def options(context: Context, **given: object) -> ControlOptions:
    node = Node(
        'controller',
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
    )
    try:
        declare(node, PARAMETERS)
        return control_options(node)
    finally:
        node.destroy_node()


def test_the_options_of_the_chosen_strategy_arrive(context: Context) -> None:
    found = options(context, strategy='receding_horizon', n_action_steps=6, overrun_steps=3)
    assert found.strategy_options == {'n_action_steps': 6, 'overrun_steps': 3}
    assert options(context).strategy_options == {'coeff': 0.01}
    left = options(context, strategy='receding_horizon')
    assert left.strategy_options == {'overrun_steps': 0}


def test_an_option_of_another_strategy_is_refused(context: Context) -> None:
    """Regressions pinned: `strategy: latest, n_action_steps: 6` was dropped silently."""
    with pytest.raises(ConfigError, match=r'parameter n_action_steps is 6.*receding_horizon'):
        options(context, strategy='latest', n_action_steps=6)


def test_an_option_at_its_default_is_no_mistake(context: Context) -> None:
    """The shipped parameters file names one, and may be used with another strategy."""
    found = options(context, strategy='latest', temporal_ensemble_coeff=0.01)
    assert found.strategy_options == {}
