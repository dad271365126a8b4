# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The options of the execution strategies as settings: names, ranges, and to which they belong.

A strategy declares an option once, at the field that takes it:
`old_share: Annotated[float, Option('share of the older chunks', maximum=1.0)] = 0.3`. Parameters
of the controller, their table in the reference and the check of what was set are made from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from bc_runtime.execution.option import Option
from bc_runtime.execution.strategies import STRATEGIES
from bc_runtime.spec.errors import ConfigError, available


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySetting:
    """One option of one strategy.

    Attributes:
        strategy: Name of the strategy.
        field: Of the strategy's class.
        name: Of the setting: the parameter of the controller.
        default: Also fixes the type; the unset value of an option that the policy can answer.
        choices: Of a text; empty: any.
    """

    strategy: str
    field: str
    name: str
    option: Option
    default: Any
    choices: tuple[str, ...]


def strategy_settings() -> Iterator[StrategySetting]:
    """Yield the options of every strategy."""
    for name, kind in STRATEGIES.items():
        hints = get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            for option in getattr(hints[field.name], '__metadata__', ()):
                if isinstance(option, Option):
                    (base, *_) = get_args(hints[field.name])
                    is_choice = isinstance(base, type) and issubclass(base, StrEnum)
                    yield StrategySetting(
                        strategy=name,
                        field=field.name,
                        name=option.setting or field.name,
                        option=option,
                        default=str(field.default) if is_choice else field.default,
                        choices=tuple(one.value for one in base) if is_choice else (),
                    )


def strategy_parameters() -> list[dict[str, Any]]:
    """Return the parameters with which a strategy and its options are chosen."""
    *names, last = STRATEGIES
    rows: list[dict[str, Any]] = [
        {
            'name': 'strategy',
            'default': names[0],
            'description': f'How overlapping chunks are combined: {", ".join(names)} or {last}',
            'read_only': True,
        }
    ]
    for setting in strategy_settings():
        meaning = f'{setting.strategy}: {setting.option.meaning}'
        if setting.choices:
            meaning += f': {", ".join(setting.choices[:-1])} or {setting.choices[-1]}'
        rows.append(
            {
                'name': setting.name,
                'default': setting.default,
                'description': meaning,
                'minimum': setting.option.minimum,
                'maximum': setting.option.maximum,
                'read_only': True,
            }
        )
    return rows


def chosen_options(strategy: str, value: Callable[[str], Any]) -> Mapping[str, object]:
    """Return the options of the chosen strategy, by field.

    Args:
        strategy: Its name; an unknown one is refused by `make_strategy`.
        value: Setting -> its value.

    Raises:
        ConfigError: a setting of another strategy is not at its default, or a value is none of
            the choices.
    """
    options: dict[str, object] = {}
    for setting in strategy_settings():
        given = value(setting.name)
        if setting.strategy != strategy:
            if strategy in STRATEGIES and given != setting.default:
                raise ConfigError(
                    f'parameter {setting.name} is {given!r}, which only the strategy '
                    f'{setting.strategy} reads, and the strategy is {strategy}. Remove it, set it '
                    f'to its default ({setting.default!r}), or choose strategy: {setting.strategy}'
                )
            continue
        if setting.choices and given not in setting.choices:
            raise ConfigError(
                f'parameter {setting.name}: expected one of {available(setting.choices)}, '
                f'got {given!r}'
            )
        if not (setting.option.from_policy and given == setting.default):
            options[setting.field] = given
    return options
