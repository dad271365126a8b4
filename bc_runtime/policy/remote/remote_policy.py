# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy that another machine runs."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Inference, Prefix, Tensors
from bc_runtime.policy.errors import BackendUnavailable, InferenceFailed
from bc_runtime.policy.remote.connection import Connection
from bc_runtime.policy.remote.contract import RemoteContract, contract_of_server
from bc_runtime.policy.remote.wire import WireFormatError, pack, unpack
from bc_runtime.policy.tensor_check import TensorCheck
from bc_runtime.spec.errors import available
from bc_runtime.spec.inputs import InputKind


class RemotePolicy:
    """One policy server.

    `infer` waits for the server, at most `timeout_s`; it belongs in the thread of inferences.
    While the server is away it fails at once, and a thread connects again. A server that comes
    back with another description of its policy is refused: load it anew.

    Args:
        contract: What the server wants and gives.
        connection: Opened by `connect`.
        metadata: What the server said first.
    """

    backend = 'remote'

    def __init__(
        self, *, contract: RemoteContract, connection: Connection, metadata: Mapping[str, Any]
    ) -> None:
        self.spec = contract.spec
        self.contract = contract
        self.metadata = metadata
        self.provider = contract.url
        self.path = contract.source
        digest = hashlib.sha256((contract.digest + _fingerprint(metadata)).encode())
        self.policy_id = digest.hexdigest()
        self.warmup_s = math.nan
        self.self_test_error = math.nan
        self.timeout_s = contract.first_timeout_s
        self._connection = connection
        self._check = TensorCheck(contract.spec, source=contract.url)
        self._seed = 0
        self._count = 0

    def begin_work(self) -> None:
        """From now on wait no longer than a moving robot can."""
        self.timeout_s = self.contract.timeout_s

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode; the protocol has no word for it, so the server is not told."""
        self._seed = 0 if seed is None else seed
        self._count = 0

    def infer(self, tensors: Tensors, *, prefix: Prefix | None = None) -> Inference:
        """Return the server's chunk for one observation; see `Policy.infer`.

        Raises:
            InputMismatch: a tensor is missing, unknown, or of another type or shape.
            InferenceFailed: the server is away, slow, failed, or gave another shape.
            NonFiniteOutput: the chunk is not finite.
        """
        self._check.inputs(tensors)
        index = self._count
        self._count += 1
        start = time.perf_counter_ns()
        answer = self._connection.request(self._pack(tensors), timeout_s=self.timeout_s)
        values = self._check.chunk(self._actions(answer))
        elapsed = time.perf_counter_ns() - start
        return Inference(values=values, inference_ns=elapsed, seed=self._seed, index=index)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def __del__(self) -> None:
        # The slot drops a policy by letting go of it.
        connection = getattr(self, '_connection', None)
        if connection is not None:
            connection.close()

    def _pack(self, tensors: Tensors) -> bytes:
        message: dict[str, object] = {}
        for item in self.spec.inputs:
            # Servers add the batch dimension themselves.
            value = tensors[item.name][0]
            if item.kind is InputKind.TEXT:
                message[self.contract.observation[item.name]] = str(
                    np.asarray(value).reshape(-1)[0]
                )
            else:
                message[self.contract.observation[item.name]] = np.ascontiguousarray(value)
        return pack(message)

    def _actions(self, answer: bytes) -> NDArray[np.float32]:
        url, key = self.contract.url, self.contract.actions
        try:
            message = unpack(answer)
        except WireFormatError as error:
            raise InferenceFailed(f'{url}: the answer is not of the protocol: {error}') from None
        if not isinstance(message, dict) or key not in message:
            keys = available(str(k) for k in message) if isinstance(message, dict) else 'no map'
            raise InferenceFailed(f'{url}: expected {key!r} in the answer, got {keys}')
        actions = message[key]
        if not isinstance(actions, np.ndarray) or actions.dtype.kind not in 'fiu':
            raise InferenceFailed(
                f'{url}: expected an array of numbers in {key!r}, got {type(actions).__name__}'
            )
        return np.array(actions, dtype=np.float32)[None]


def connect(
    contract: RemoteContract | None, *, url: str, connect_timeout_s: float = 5.0
) -> RemotePolicy:
    """Return a policy that is connected.

    Args:
        contract: From a side file; None: the server describes itself.
        url: Address, where there is no side file.
        connect_timeout_s: Longest time for the connection [s].

    Raises:
        BackendUnavailable: no server, or another protocol.
        SpecMissing: the server does not describe itself.
        SpecError: its description is wrong.
    """
    known: list[str] = []

    def accept(metadata: Mapping[str, Any]) -> None:
        fingerprint = _fingerprint(metadata)
        if known and known[0] != fingerprint:
            raise BackendUnavailable(
                f'{url}: the server came back with another description of its policy; load it '
                'again to use it'
            )
        known[:] = [fingerprint]

    connection = Connection(
        url,
        api_key=contract.api_key if contract else '',
        connect_timeout_s=connect_timeout_s,
        accept=accept,
    )
    metadata = connection.open()
    try:
        return RemotePolicy(
            contract=contract or contract_of_server(url, metadata),
            connection=connection,
            metadata=metadata,
        )
    except BaseException:
        connection.close()
        raise


def _fingerprint(metadata: Mapping[str, Any]) -> str:
    return hashlib.sha256(pack(metadata)).hexdigest()
