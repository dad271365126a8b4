# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bc_runtime.execution import ActionChunk

MakeChunk = Callable[..., ActionChunk]
GOLDEN = Path(__file__).resolve().parents[1] / 'golden'


@pytest.fixture(scope='session')
def make_chunk() -> MakeChunk:
    """Return a function that makes a chunk of joint positions, received when it was observed."""

    def make(values: object, *, step: int = 0, dt_ns: int = 100_000_000, **fields: object):
        array = np.asarray(values, dtype=np.float32)
        if array.ndim == 1:
            array = array[:, None]
        stamp_ns = fields.pop('stamp_ns', step * dt_ns)
        given = {
            'stamp_ns': stamp_ns,
            'dt_ns': dt_ns,
            'values': array,
            'names': tuple(f'joint_{d + 1}' for d in range(array.shape[1])),
            'kinds': ('joint_position',) * array.shape[1],
            'sequence': step,
            'received_ns': stamp_ns,
        }
        return ActionChunk(**(given | fields))

    return make


@pytest.fixture(scope='session')
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """Return a function that reads a golden stream by name."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f'{name}.npz', allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    return read
