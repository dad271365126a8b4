# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a rollback goes back to."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bc_runtime.policy import Policy

keeper_module = pytest.importorskip(
    'bc_runtime.ros.policy_keeper', reason='bc_runtime.ros needs rclpy'
)


class Named:
    """Stands for a loaded policy; only its identity counts here."""

    def __init__(self, policy_id: str) -> None:
        self.policy_id = policy_id


def take(keeper: Any, name: str, *, chunks: int = 0, as_name: str = '') -> None:
    keeper.loaded(as_name or name, cast('Policy', Named(name)))
    keeper.took_over(name, chunks=chunks)


def test_a_rollback_goes_to_the_policy_before() -> None:
    keeper = keeper_module.PolicyKeeper()
    take(keeper, 'a')
    assert keeper.before is None
    take(keeper, 'b')
    assert keeper.before.requested == 'a'


def test_the_same_policy_once_more_has_the_same_one_before_it() -> None:
    """Regressions pinned: a model that was set twice was rolled back to itself."""
    keeper = keeper_module.PolicyKeeper()
    take(keeper, 'a')
    take(keeper, 'a', as_name='a/other/path')
    assert keeper.before is None, 'there was no other policy'
    take(keeper, 'b')
    take(keeper, 'b')
    assert keeper.before.requested == 'a/other/path'
    keeper.executed('b', 1)
    assert keeper.before.requested == 'a/other/path'
    assert keeper.before.policy is None, 'it has proven itself'
    take(keeper, 'b', chunks=5)
    assert keeper.before.requested == 'a/other/path'
