# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read nested mappings strictly: every value typed, every unknown key refused, every error placed.

The same reader serves the JSON of a policy and the YAML of a robot, so that a mistake is reported
in one way everywhere: file, key path, what was expected, what came, what is available.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import math
import reprlib
from typing import Any, TypeVar

from bc_runtime.spec.errors import ConfigError, available, did_you_mean
from bc_runtime.spec.ros_names import topic_problem

T = TypeVar('T')
_MISSING: Any = object()

#: Elements of the largest tensor that a spec may ask for (400 MB of float32).
MAX_ELEMENTS = 100_000_000


class Fields:
    """A mapping being read; call `done()` at the end to refuse unknown keys.

    Args:
        value: The mapping to read.
        source: Name of the file, for messages.
        path: Key path of the mapping inside the file.
        error: Exception class to raise, a `ConfigError`.
    """

    def __init__(
        self,
        value: object,
        *,
        source: str,
        path: str = '',
        error: type[ConfigError] = ConfigError,
    ) -> None:
        self.source = source
        self.path = path
        self.error = error
        if not isinstance(value, Mapping):
            raise self.fail('', f'expected a mapping, got {_describe(value)}')
        for key in value:
            if not isinstance(key, str):
                raise self.fail('', f'expected keys of text, got {_describe(key)}; quote it')
        self._value: Mapping[str, object] = value
        self._seen: dict[str, None] = {}

    def fail(self, key: str, message: str) -> ConfigError:
        """Return (do not raise) the error for `key`."""
        return self.error(message, source=self.source, path=self._join(key))

    def missing(self, key: str) -> ConfigError:
        """Return (do not raise) the error for a key that must be given and is not."""
        here = available(str(k) for k in self._value)
        return self.fail(key, f'required key is missing; keys given here: {here}')

    def _join(self, key: str) -> str:
        return f'{self.path}.{key}' if self.path and key else self.path or key

    def _take(self, key: str, default: Any) -> Any:
        self._seen[key] = None
        if key not in self._value or self._value[key] is None:
            if default is _MISSING:
                raise self.missing(key)
            return default
        return self._value[key]

    def has(self, key: str) -> bool:
        """Return whether `key` is present and not null."""
        self._seen[key] = None
        return self._value.get(key) is not None

    def text(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        choices: Sequence[str] | None = None,
        filled: bool = False,
    ) -> str:
        """Return a string, optionally one of `choices`, or at least not an empty one."""
        value = self._take(key, default)
        if not isinstance(value, str):
            if value is default:
                return value  # type: ignore[no-any-return]
            hint = '; quote it' if isinstance(value, (bool, int, float)) else ''
            raise self.fail(key, f'expected text, got {_describe(value)}{hint}')
        if filled and not value.strip():
            raise self.fail(key, f'expected a name, got {value!r}')
        if choices is not None and value not in choices:
            hint = did_you_mean(value, choices)
            raise self.fail(key, f'expected one of {available(choices)}; got {value!r}.{hint}')
        return value

    def topic(self, key: str, default: Any = _MISSING) -> str:
        """Return the name of a ROS topic; empty only if the default is."""
        value = self.text(key, default, filled=default is _MISSING)
        problem = topic_problem(value) if value else ''
        if problem:
            raise self.fail(key, problem)
        return value

    def number(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        above: float | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> float:
        """Return a finite float within the given bounds."""
        value = self._take(key, default)
        if value is default and not isinstance(value, (int, float)):
            return value  # type: ignore[no-any-return]
        number = self._finite(key, value)
        if above is not None and number <= above:
            raise self.fail(key, f'expected a number above {above:g}, got {number:g}')
        if minimum is not None and number < minimum:
            raise self.fail(key, f'expected at least {minimum:g}, got {number:g}')
        if maximum is not None and number > maximum:
            raise self.fail(key, f'expected at most {maximum:g}, got {number:g}')
        return number

    def integer(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> int:
        """Return an integer within the given bounds."""
        value = self._take(key, default)
        if value is default and not isinstance(value, int):
            return value  # type: ignore[no-any-return]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f'expected a whole number, got {_describe(value)}')
        if minimum is not None and value < minimum:
            raise self.fail(key, f'expected at least {minimum}, got {value}')
        if maximum is not None and value > maximum:
            raise self.fail(key, f'expected at most {maximum}, got {value}')
        return value

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        """Return a boolean."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f'expected true or false, got {_describe(value)}')
        return value

    def sequence(self, key: str, default: Any = _MISSING) -> Sequence[object]:
        """Return a list of anything."""
        value = self._take(key, default)
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise self.fail(key, f'expected a list, got {_describe(value)}')
        return value

    def texts(self, key: str, default: Any = _MISSING) -> tuple[str, ...]:
        """Return a list of unique strings."""
        values = self.sequence(key, default)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self.fail(f'{key}[{i}]', f'expected text, got {_describe(value)}')
        names = tuple(str(value) for value in values)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self.fail(
                key, f'expected unique names; given more than once: {available(twice)}'
            )
        return names

    def numbers(
        self, key: str, default: Any = _MISSING, *, length: int | None = None
    ) -> tuple[float, ...]:
        """Return a list of finite floats, optionally of a given length."""
        values = self.sequence(key, default)
        result = []
        for i, value in enumerate(values):
            result.append(self._finite(f'{key}[{i}]', value))
        if length is not None and len(result) != length:
            raise self.fail(key, f'expected {length} numbers, got {len(result)}')
        return tuple(result)

    def _finite(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(key, f'expected a number, got {_describe(value)}{_number_hint(value)}')
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.fail(key, f'expected a finite number, got {_describe(value)}')
        return number

    def shape(self, key: str) -> tuple[int, ...]:
        """Return a list of positive integers."""
        values = self.sequence(key)
        for i, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise self.fail(
                    f'{key}[{i}]', f'expected a positive whole number, got {_describe(value)}'
                )
        shape = tuple(int(value) for value in values if isinstance(value, int))
        if math.prod(shape) > MAX_ELEMENTS:
            raise self.fail(key, f'expected at most {MAX_ELEMENTS} elements, got {list(shape)}')
        return shape

    def section(self, key: str, default: Any = _MISSING) -> Fields:
        """Return a nested mapping as a reader of its own."""
        value = self._take(key, default)
        return self._child(value, self._join(key))

    def sections(self, key: str, default: Any = _MISSING) -> list[Fields]:
        """Return a list of mappings, each as a reader."""
        values = self.sequence(key, default)
        base = self._join(key)
        return [self._child(value, f'{base}[{i}]') for i, value in enumerate(values)]

    def named_sections(self, key: str, default: Any = _MISSING) -> Iterator[tuple[str, Fields]]:
        """Yield (name, reader) of a mapping of mappings."""
        group = self.section(key, default)
        for name in group.names():
            yield name, group.section(name)

    def mapping(self, key: str, default: Any = _MISSING) -> dict[str, object]:
        """Return a plain mapping with text keys."""
        value = self._take(key, default)
        if not isinstance(value, Mapping):
            raise self.fail(key, f'expected a mapping, got {_describe(value)}')
        return {str(k): v for k, v in value.items()}

    def names(self) -> tuple[str, ...]:
        """Return the keys that are present."""
        return tuple(str(key) for key in self._value)

    def build(self, key: str, function: Callable[[Fields], T]) -> T:
        """Read a nested section with `function` and refuse what it leaves over."""
        section = self.section(key)
        result = function(section)
        section.done()
        return result

    def done(self) -> None:
        """Refuse every key that was not read."""
        unknown = [str(key) for key in self._value if str(key) not in self._seen]
        if unknown:
            hint = did_you_mean(unknown[0], self._seen)
            raise self.fail(
                '',
                f'unknown key{"s" if len(unknown) > 1 else ""} {available(unknown)}; '
                f'known here: {available(self._seen)}.{hint}',
            )

    def _child(self, value: object, path: str) -> Fields:
        return Fields(value, source=self.source, path=path, error=self.error)


def _number_hint(value: object) -> str:
    # YAML 1.1 reads 1e-4 as text, because the dot is missing.
    if not isinstance(value, str):
        return ''
    try:
        number = float(value)
    except ValueError:
        return ''
    return (
        f'; write {number!r} without quotes'
        if 'e' not in repr(number)
        else (f'; write {number:.1e} without quotes')
    )


def _describe(value: object) -> str:
    # Not all of it: YAML's anchors can make a few lines stand for billions of values.
    text = reprlib.repr(value) if isinstance(value, dict | list | tuple) else repr(value)
    if len(text) > 60:
        text = text[:57] + '...'
    return f'{text} ({type(value).__name__})'
