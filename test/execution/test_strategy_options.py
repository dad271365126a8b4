# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""An option is declared once at its strategy: parameter, check and strategy follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest

from bc_runtime.execution import (
    PolicyDefaults,
    RealTimeChunking,
    RecedingHorizon,
    chosen_options,
    make_strategy,
    strategies,
    strategy_parameters,
)
from bc_runtime.execution.option import Option
from bc_runtime.execution.strategies import STRATEGIES, Latest
from bc_runtime.execution.strategy_options import strategy_settings
from bc_runtime.spec import ConfigError


def settings(**changed: Any) -> Any:
    """Return setting -> value: the defaults, with some changed."""
    values = {row['name']: row['default'] for row in strategy_parameters()} | changed
    return values.__getitem__


def chosen(strategy: str, **changed: Any) -> Any:
    return make_strategy(
        strategy,
        chosen_options(strategy, settings(**changed)),
        PolicyDefaults(n_action_steps=7, prefix_conditioned=True),
    )


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_every_strategy_is_made_of_the_defaults(strategy: str) -> None:
    assert chosen(strategy).name == strategy


def test_what_is_left_open_is_as_the_policy_says() -> None:
    assert chosen('receding_horizon') == RecedingHorizon(n_action_steps=7)
    assert chosen('receding_horizon', n_action_steps=3) == RecedingHorizon(n_action_steps=3)
    assert chosen('real_time_chunking') == RealTimeChunking(prefix_conditioned=True)


@pytest.mark.parametrize('setting', list(strategy_settings()), ids=lambda s: s.name)
@pytest.mark.parametrize('strategy', STRATEGIES)
def test_an_option_of_another_strategy_is_refused_with_the_cure(
    strategy: str, setting: Any
) -> None:
    """Regressions pinned: `strategy: latest, n_action_steps: 6` was dropped silently."""
    if setting.choices:
        other: Any = next(one for one in setting.choices if one != setting.default)
    else:
        other = type(setting.default)(setting.default + 1) if setting.default == 0 else 0
    if setting.strategy == strategy:
        assert chosen_options(strategy, settings(**{setting.name: other}))[setting.field] == other
        return
    with pytest.raises(ConfigError) as error:
        chosen_options(strategy, settings(**{setting.name: other}))
    text = str(error.value)
    assert f'parameter {setting.name} is {other!r}' in text
    assert f'choose strategy: {setting.strategy}' in text
    assert f'default ({setting.default!r})' in text


def test_a_choice_that_is_none_lists_the_choices() -> None:
    with pytest.raises(ConfigError, match='rtc_schedule: expected one of exp, linear, ones, zero'):
        chosen_options('real_time_chunking', settings(rtc_schedule='cubic'))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fake(Latest):
    """A strategy of this test."""

    name: ClassVar[str] = 'fake'
    patience: Annotated[int, Option('steps to wait', minimum=0, maximum=9)] = 2


def test_a_new_row_is_a_choice_a_parameter_and_a_strategy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(strategies.STRATEGIES, 'fake', Fake)
    rows = {row['name']: row for row in strategy_parameters()}
    assert rows['strategy']['description'].endswith('or fake')
    assert rows['patience'] == {
        'name': 'patience',
        'default': 2,
        'description': 'fake: steps to wait',
        'minimum': 0,
        'maximum': 9,
        'read_only': True,
    }
    assert chosen('fake', patience=5) == Fake(patience=5)
    with pytest.raises(ConfigError, match='choose strategy: fake'):
        chosen('latest', patience=5)
