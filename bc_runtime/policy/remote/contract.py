# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy server wants and gives: a side file, or what the server says of itself.

A side file `<name>.remote.yaml` lies where models lie:

    backend: remote
    url: ws://gpu-server:8000
    timeout_s: 1.0
    observation:                  # graph input of the spec -> key of the server
      state: observation/state
      base: observation/image
      prompt: prompt
    actions: actions              # key of the answer
    spec: {schema_version: 1, ...}

Without a side file, a server that sends `bc_remote` in its metadata (a map with the same keys
`observation`, `actions` and `spec`) describes itself, and its address alone is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import re
from typing import Any

from bc_runtime.policy.errors import SpecMismatch, SpecMissing
from bc_runtime.spec.errors import SpecError, available, did_you_mean
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.inputs import NoiseInput, PrefixInput, RecurrentInput
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml

SUFFIX = '.remote.yaml'
METADATA_KEY = 'bc_remote'
MAX_FILE_BYTES = 10_000_000
KEY_PREFIX = 'BC_KEY_'
_URL = re.compile(r'^wss?://[^\s/]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteContract:
    """A policy server and the meaning of its messages.

    Attributes:
        spec: The policy's contract.
        url: Address.
        observation: Input name -> key of the server's observation.
        actions: Key of the actions in the answer, an array (chunk_size, D).
        timeout_s: Longest wait for an answer while the robot moves [s].
        first_timeout_s: The same for the inferences before the policy may act, since servers
            compile at the first one [s].
        api_key_variable: Environment variable with the server's key; empty: no key.
        source: Side file or address, for messages.
    """

    spec: PolicySpec
    url: str
    observation: Mapping[str, str]
    actions: str
    timeout_s: float
    first_timeout_s: float
    api_key_variable: str
    source: str

    @property
    def api_key(self) -> str:
        """The server's key from the environment.

        Raises:
            SpecError: the variable is not set.
        """
        if not self.api_key_variable:
            return ''
        key = os.environ.get(self.api_key_variable)
        if not key:
            raise SpecError(
                f'the environment variable {self.api_key_variable} with the key of {self.url} is '
                'not set',
                source=self.source,
                path='api_key_variable',
            )
        return key

    @property
    def digest(self) -> str:
        """Sha256 hex of the contract; the weights are on the server and cannot be hashed."""
        text = json.dumps(
            [self.spec.to_dict(), self.url, dict(self.observation), self.actions], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()


def is_address(text: str) -> bool:
    """Say whether a model's name is the address of a policy server."""
    return text.startswith(('ws://', 'wss://'))


def read_remote_file(path: Path) -> RemoteContract:
    """Read a side file.

    Raises:
        SpecError: unreadable, or a key is missing, unknown or of another type.
        SpecMismatch: the spec has inputs that a server cannot take.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SpecError('file is larger than 10 MB', source=str(path))
        value = parse_yaml(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f'cannot be read: {error}', source=str(path)) from None
    except TextFormatError as error:
        raise SpecError(str(error), source=str(path)) from None
    f = Fields(value, source=str(path), error=SpecError)
    f.text('backend', choices=('remote',))
    url = f.text('url')
    if not _URL.match(url):
        raise f.fail('url', f'expected an address like ws://host:8000, got {url!r}')
    return _read(f, url)


def contract_of_server(url: str, metadata: Mapping[str, Any]) -> RemoteContract:
    """Return the contract that a server sends in its metadata.

    Raises:
        SpecMissing: the metadata has none.
        SpecError: it is wrong.
    """
    value = metadata.get(METADATA_KEY)
    if value is None:
        keys = available(str(key) for key in metadata)
        raise SpecMissing(
            f'{url}: the server does not describe its policy: expected a map {METADATA_KEY!r} in '
            f'its metadata, which has {keys}. Describe it in a side file <name>{SUFFIX} and load '
            'that (docs/how-to/remote_policy.md)'
        )
    return _read(Fields(value, source=url, path=METADATA_KEY, error=SpecError), url)


def _read(f: Fields, url: str) -> RemoteContract:
    spec = PolicySpec.from_dict(f.mapping('spec'), source=f'{f.source}: spec')
    contract = RemoteContract(
        spec=spec,
        url=url,
        observation=_keys(f, spec),
        actions=f.text('actions', 'actions', filled=True),
        timeout_s=f.number('timeout_s', 1.0, minimum=0.01, maximum=60.0),
        first_timeout_s=f.number('first_timeout_s', 120.0, minimum=0.01, maximum=3600.0),
        api_key_variable=_read_key_variable(f),
        source=f.source,
    )
    f.done()
    return contract


def _keys(f: Fields, spec: PolicySpec) -> dict[str, str]:
    own = [i.name for i in spec.inputs if isinstance(i, NoiseInput | RecurrentInput | PrefixInput)]
    if own:
        raise SpecMismatch(
            f'{f.source}: the inputs {available(own)} are of kinds that a policy server keeps to '
            'itself (noise, hidden state, prefix); take them out of the spec'
        )
    names = [item.name for item in spec.inputs]
    section = f.section('observation')
    keys = {}
    for name in section.names():
        if name not in names:
            raise section.fail(
                name,
                f'the spec has no such input; expected one of {available(names)}.'
                f'{did_you_mean(name, names)}',
            )
        keys[name] = section.text(name, filled=True)
    missing = [name for name in names if name not in keys]
    if missing:
        raise f.fail('observation', f'these inputs have no key: {available(missing)}')
    if len(set(keys.values())) != len(keys):
        raise f.fail('observation', f'two inputs have the same key: {sorted(keys.values())}')
    return keys


def _read_key_variable(f: Fields) -> str:
    """Read the name of a variable that will be sent to the server: not any secret there is."""
    name = f.text('api_key_variable', '')
    if name and not name.startswith(KEY_PREFIX):
        raise f.fail(
            'api_key_variable',
            f'expected a name that begins with {KEY_PREFIX}, got {name!r}: a model file must not '
            'be able to ask for the other secrets of this machine',
        )
    return name
