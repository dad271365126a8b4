# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""FieldPath: read a number like `wrench.force.z` or `data[3]` out of any message-like object."""

from __future__ import annotations

from collections.abc import Sequence
import re

from bc_runtime.observation.errors import FieldPathError
from bc_runtime.spec.errors import available, did_you_mean

_PART = re.compile(r'([A-Za-z]\w*)((?:\[\d+\])*)')


class FieldPath:
    """A parsed path; parse once, read at the rate of the topic.

    Args:
        text: Attribute names joined by dots, each optionally followed by indices in brackets:
            `wrench.force.z`, `data[3]`, `transforms[0].transform.translation.x`.

    Raises:
        FieldPathError: the text is not a path.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        steps: list[str | int] = []
        for part in text.split('.'):
            match = _PART.fullmatch(part)
            if match is None:
                raise FieldPathError(
                    f'expected a field path like wrench.force.z or data[3], got {text!r}: '
                    f'{part!r} is not a field name with optional [index]'
                )
            steps.append(match[1])
            steps.extend(int(index) for index in re.findall(r'\d+', match[2]))
        self._steps = tuple(steps)

    def __repr__(self) -> str:
        return f'FieldPath({self.text!r})'

    def read(self, message: object) -> float:
        """Return the number that the path leads to; True and False become 1.0 and 0.0.

        Raises:
            FieldPathError: says at which step the path ends and what is available there.
        """
        value = message
        for depth, step in enumerate(self._steps):
            if isinstance(step, int):
                value = self._item(value, step, depth)
            else:
                value = self._attribute(value, step, depth)
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            fields = _field_names(value)
            inside = f'; fields inside: {available(fields)}' if fields else ''
            raise FieldPathError(
                f'{self.text!r} leads to {type(value).__name__}, expected a number{inside}'
            ) from None

    def _attribute(self, value: object, name: str, depth: int) -> object:
        try:
            return getattr(value, name)
        except AttributeError:
            fields = _field_names(value)
            raise FieldPathError(
                f'{self._where(depth)} ({type(value).__name__}) has no field {name!r}; '
                f'fields: {available(fields)}.{did_you_mean(name, fields)}'
            ) from None

    def _item(self, value: object, index: int, depth: int) -> object:
        # Sequence, array.array and ndarray have no common type that says 'can be indexed'.
        if isinstance(value, (str, bytes)) or not hasattr(value, '__getitem__'):
            raise FieldPathError(
                f'{self._where(depth)} is {type(value).__name__}, expected a list for [{index}]'
            )
        items: Sequence[object] = value  # type: ignore[assignment]
        try:
            return items[index]
        except (IndexError, KeyError, TypeError):
            raise FieldPathError(
                f'{self._where(depth)} has {len(items)} elements, there is no [{index}]'
            ) from None

    def _where(self, depth: int) -> str:
        text = ''
        for step in self._steps[:depth]:
            text += f'[{step}]' if isinstance(step, int) else f'.{step}' if text else step
        return text or 'the message'


def _field_names(value: object) -> list[str]:
    get = getattr(value, 'get_fields_and_field_types', None)
    if callable(get):
        return list(get())
    names = getattr(value, '__dict__', None) or getattr(value, '__slots__', None) or ()
    return [str(name).lstrip('_') for name in names if not str(name).startswith('__')]
