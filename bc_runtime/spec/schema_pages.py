# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the declared keys of a dataclass are for people and editors: a table, and a JSON Schema.

What spans several sections (each joint is commanded once, braking is not slower than speeding up)
is left to the reader in `schema.py`: the JSON Schema accepts everything that the reader accepts,
except keys that are given as null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import re
from typing import Any, get_args, get_origin

from bc_runtime.spec.schema import REQUIRED, Entry, entries, is_section

_JSON_TYPES: Mapping[type, str] = {
    str: 'string',
    float: 'number',
    int: 'integer',
    bool: 'boolean',
}


def key_rows(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield (key, default, values, meaning) of each key, in Markdown."""
    for entry in entries(cls):
        yield f'`{entry.name}`', _default_text(entry), _values_text(entry), _meaning(entry)


def json_schema(cls: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a section."""
    found = entries(cls)
    schema: dict[str, Any] = {
        'type': 'object',
        'additionalProperties': False,
        'properties': {entry.name: _property(entry) for entry in found},
    }
    required = [e.name for e in found if _is_required(e) and e.key.only_if is None]
    if required:
        schema['required'] = required
    rules = [_rule(entry, entry.key.only_if, found) for entry in found if entry.key.only_if]
    if rules:
        schema['allOf'] = rules
    return schema


def _is_required(entry: Entry) -> bool:
    if entry.key.default is None:
        return entry.default is REQUIRED
    return not entry.key.default_text


def _default_text(entry: Entry) -> str:
    if _is_required(entry):
        return 'required'
    if entry.key.default_text:
        return entry.key.default_text
    if entry.default is None:
        return 'none'
    if isinstance(entry.default, bool):
        return f'`{str(entry.default).lower()}`'
    if isinstance(entry.default, (int, float)):
        return f'{entry.default:g}'
    return f'`{entry.default}`' if entry.default else 'empty'


def _values_text(entry: Entry) -> str:
    key = entry.key
    text = ', '.join(f'`{choice}`' for choice in key.choices)
    if entry.type is bool:
        text = '`true`, `false`'
    elif key.minimum is not None and key.maximum is not None:
        text = f'{key.minimum:g} to {key.maximum:g}'
    elif key.minimum is not None:
        text = f'at least {key.minimum:g}'
    elif key.above is not None:
        text = f'above {key.above:g}'
    return f'{text} [{key.unit}]'.lstrip() if key.unit else text


def _meaning(entry: Entry) -> str:
    if entry.key.only_if is None:
        return entry.key.meaning
    other, values = entry.key.only_if
    listed = ', '.join(f'`{str(v).lower() if isinstance(v, bool) else v}`' for v in values)
    return f'{entry.key.meaning}; only for `{other}` {listed}'


def _property(entry: Entry) -> dict[str, Any]:
    origin, arguments = get_origin(entry.type), get_args(entry.type)
    key = entry.key
    schema: dict[str, Any] = {'description': _plain_text(entry)}
    if origin is Mapping:
        names = {'enum': list(key.names)} if key.names else {'type': 'string'}
        element = Entry('', arguments[1], dataclasses.replace(key, names=()), REQUIRED)
        schema |= {'type': 'object', 'propertyNames': names}
        schema['additionalProperties'] = _element(element)
        if key.none_given:
            schema['minProperties'] = 1
    elif origin is tuple and arguments[-1] is Ellipsis:
        schema |= {'type': 'array', 'items': _element(Entry('', arguments[0], key, REQUIRED))}
        if arguments[0] is str:
            schema['uniqueItems'] = True
    elif origin is tuple:
        count = len(arguments)
        schema |= {'type': 'array', 'items': {'type': 'number'}}
        schema |= {'minItems': count, 'maxItems': count}
    else:
        schema |= _element(entry)
    if isinstance(entry.default, (str, int, float)) and not _is_required(entry):
        schema['default'] = entry.default
    return schema


def _element(entry: Entry) -> dict[str, Any]:
    if is_section(entry.type):
        return json_schema(entry.type)
    key = entry.key
    schema: dict[str, Any] = {'type': _JSON_TYPES[entry.type]}
    if entry.type is str and (key.filled or (key.topic and entry.default is REQUIRED)):
        schema['pattern'] = r'\S'
    bounds = {
        'enum': list(key.choices),
        'exclusiveMinimum': key.above,
        'minimum': key.minimum,
        'maximum': key.maximum,
    }
    return schema | {name: bound for name, bound in bounds.items() if bound not in (None, [])}


def _rule(
    entry: Entry, only_if: tuple[str, tuple[object, ...]], among: tuple[Entry, ...]
) -> dict[str, Any]:
    """Return the JSON Schema of: this key is known only where another one has certain values."""
    name, values = only_if
    (other,) = [one for one in among if one.name == name]
    condition: dict[str, Any] = {'properties': {name: {'enum': list(values)}}}
    if other.default not in values:  # where the other key is absent, so is this one
        condition['required'] = [name]
    rule: dict[str, Any] = {
        'if': condition,
        'else': {'not': {'required': [entry.name]}},
    }
    if _is_required(entry):
        rule['then'] = {'required': [entry.name]}
    return rule


def _plain_text(entry: Entry) -> str:
    """Return the meaning without links, with what an editor should show beside it."""
    text = re.sub(r' ?\((\[[^]]*\]\([^)]*\))\)', '', _meaning(entry))
    text = re.sub(r'(: |; see )?\[[^]]*\]\([^)]*\)', '', text)
    values = _values_text(entry)
    default = _default_text(entry)
    return '. '.join(
        part
        for part in (text, f'Values: {values}' if values else '', f'Default: {default}')
        if part
    )
