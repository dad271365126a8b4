# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Parse JSON and YAML without their silent habits.

Both formats let a key be given twice and keep the last value; a robot whose second `front:` camera
overwrote the first must not start. JSON as Python reads it also takes NaN.
"""

from __future__ import annotations

from collections.abc import Hashable
import json
from typing import Any

import yaml


class TextFormatError(ValueError):
    """The text is not valid JSON or YAML; the message says where."""


def parse_json(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        TextFormatError: invalid, nested too deep, with NaN, or with a key given twice.
    """
    try:
        value: object = json.loads(
            text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise TextFormatError(f'not valid JSON: {error}') from None
    return value


def parse_yaml(text: str) -> object:
    """Return the value of a YAML text with plain types only.

    Raises:
        TextFormatError: invalid, nested too deep, or with a key given twice.
    """
    try:
        # Derived from SafeLoader: constructs plain values only.
        value: object = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
    # Its constructors of tagged values raise whatever they meet: KeyError, IndexError, ...
    except Exception as error:  # noqa: BLE001
        raise TextFormatError(f'not valid YAML: {error}') from None
    return value


def _unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f'key given more than once: {", ".join(twice)}')
    return result


def _refuse_constant(name: str) -> object:
    raise ValueError(f'{name} is no number of JSON')


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                # A merge (`<<: *defaults`) may be overridden; that is what it is for.
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(':merge'):
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f'key given more than once: {key.value}', key.start_mark
                        )
                    seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
