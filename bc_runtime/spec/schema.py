# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a dataclass from a mapping, by what its fields declare.

A field `rate_hz: Annotated[float, Key('control rate', unit='Hz', minimum=10.0)] = 100.0` says once
what the key is called, what it may hold, what it is without it and what it means. The reader here,
the tables of the reference and the JSON Schema are made from that. The type decides the form:
`str`, `float`, `int`, `bool`, a tuple of numbers of fixed length, `tuple[str, ...]`, another
dataclass, a tuple of dataclasses (a list), or a `Mapping` of names to one of these. A field
without a `Key` is not in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Self, TypeVar, get_args, get_origin, get_type_hints

from bc_runtime.spec.errors import available, did_you_mean
from bc_runtime.spec.fields import Fields

#: A key that must be given; a computed default may return it.
REQUIRED: Final[Any] = object()
#: A section that is read from an empty mapping where it is not given.
EMPTY: Final[Any] = object()

Values = Mapping[str, Any]
T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class Key:
    """What one key of a file means and may hold.

    Attributes:
        meaning: For the reference, in Markdown, without a full stop.
        unit: Of numbers.
        choices: Texts that are allowed; empty: any.
        above: Numbers are above this.
        minimum: Numbers are at least this.
        maximum: Numbers are at most this.
        topic: The text names a ROS topic.
        filled: The text is not empty.
        default: The value without the key, from the values of the other keys: may be `REQUIRED`,
            or `EMPTY` for a section; None: the default of the dataclass.
        default_text: The computed default in words.
        only_if: (key, values): the key is known only where that other key has one of these.
        otherwise: The value where the key is not known.
        refusal: Says why the key cannot be given there; empty: it is unknown there.
        names: Names that a mapping may have; empty: any.
        unknown_name: Begins the error about any other name.
        none_given: The error about an empty mapping or list; empty: it may be empty.
    """

    meaning: str
    unit: str = ''
    choices: tuple[str, ...] = ()
    above: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    topic: bool = False
    filled: bool = False
    default: Callable[[Values], Any] | None = None
    default_text: str = ''
    only_if: tuple[str, tuple[object, ...]] | None = None
    otherwise: Any = None
    refusal: str = ''
    names: tuple[str, ...] = ()
    unknown_name: str = ''
    none_given: str = ''


@dataclass(frozen=True, slots=True)
class Entry:
    """One field that is in the file.

    Attributes:
        name: Of the field and of the key.
        type: Without `Annotated` and without `| None`.
        default: Of the dataclass; `REQUIRED` if it has none.
    """

    name: str
    type: Any
    key: Key
    default: Any

    def applies(self, values: Values) -> bool:
        """Return whether the key is known beside the values that were read before it."""
        if self.key.only_if is None:
            return True
        other, wanted = self.key.only_if
        return values[other] in wanted


class Checked:
    """A dataclass whose values depend on each other."""

    __slots__ = ()

    def checked(self, f: Fields) -> Self:
        """Return the value, completed where needed; raise `f.fail(key, ...)` where it is wrong."""
        return self


@cache
def entries(cls: Any) -> tuple[Entry, ...]:
    """Return the keys of a dataclass in the order of its fields."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        keys = [one for one in getattr(hint, '__metadata__', ()) if isinstance(one, Key)]
        if get_origin(hint) is Annotated and keys:
            found.append(Entry(field.name, _bare(get_args(hint)[0]), keys[0], _default(field)))
    return tuple(found)


def is_section(kind: Any) -> bool:
    """Return whether a type is read from a mapping of its own."""
    return dataclasses.is_dataclass(kind)


def read(cls: type[T], f: Fields, **given: object) -> T:
    """Read the section `f` as `cls`; keys that `cls` does not declare are refused.

    Args:
        cls: A dataclass.
        f: The section.
        given: Values of fields that are not in the file.

    Raises:
        ConfigError: names the key path, what was expected and what came.
    """
    values: dict[str, Any] = {}
    computed: list[tuple[Entry, Callable[[Values], Any]]] = []
    declared: Any = cls
    for entry in entries(declared):
        if not entry.applies(values):
            if entry.key.refusal and f.has(entry.name):
                raise f.fail(entry.name, entry.key.refusal)
            values[entry.name] = entry.key.otherwise
        elif f.has(entry.name):
            values[entry.name] = _value(f, entry)
        elif entry.key.default is not None:
            computed.append((entry, entry.key.default))
        elif entry.default is REQUIRED:
            raise f.missing(entry.name)
        else:
            values[entry.name] = entry.default
    for entry, compute in computed:
        value = compute(values)
        if value is REQUIRED:
            raise f.missing(entry.name)
        values[entry.name] = (
            read(entry.type, f.section(entry.name, {})) if value is EMPTY else value
        )
    f.done()
    result = cls(**values, **given)
    return result.checked(f) if isinstance(result, Checked) else result


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _bare(hint: Any) -> Any:
    """Return the type without `| None`."""
    if get_origin(hint) is UnionType:
        (hint,) = [one for one in get_args(hint) if one is not NoneType]
    return hint


def _value(f: Fields, entry: Entry) -> Any:
    origin, arguments = get_origin(entry.type), get_args(entry.type)
    if origin is Mapping:
        return _mapping(f, entry, arguments[1])
    if origin is tuple and is_section(arguments[0]):
        found = tuple(read(arguments[0], section) for section in f.sections(entry.name))
        if entry.key.none_given and not found:
            raise f.fail(entry.name, entry.key.none_given)
        return found
    if origin is tuple and arguments == (str, ...):
        return f.texts(entry.name)
    if origin is tuple:
        return f.numbers(entry.name, length=len(arguments))
    if is_section(entry.type):
        return read(entry.type, f.section(entry.name))
    return _plain(f, entry)


def _plain(f: Fields, entry: Entry) -> Any:
    name, key = entry.name, entry.key
    if entry.type is bool:
        return f.flag(name)
    if entry.type is int:
        minimum = None if key.minimum is None else int(key.minimum)
        return f.integer(name, minimum=minimum)
    if entry.type is float:
        return f.number(name, above=key.above, minimum=key.minimum, maximum=key.maximum)
    if entry.type is not str:
        raise TypeError(f'{name}: a key of a file cannot be a {entry.type}')
    if key.topic:
        return f.topic(name) if entry.default is REQUIRED else f.topic(name, '')
    return f.text(name, choices=key.choices or None, filled=key.filled)


def _mapping(f: Fields, entry: Entry, element: Any) -> Mapping[str, Any]:
    section, key = f.section(entry.name), entry.key
    found: dict[str, Any] = {}
    for name in section.names():
        if key.names and name not in key.names:
            hint = did_you_mean(name, key.names)
            raise section.fail(name, f'{key.unknown_name}: {available(key.names)}.{hint}')
        if is_section(element):
            found[name] = read(element, section.section(name))
        else:
            found[name] = _plain(section, Entry(name, element, Key(''), REQUIRED))
    if key.none_given and not found:
        raise f.fail(entry.name, key.none_given)
    return MappingProxyType(found)
