# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of one's own, for tests and for programs that use their harness."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def allocate_domain() -> tuple[int, int]:
    """Return a free domain and the descriptor that holds it; see test/conftest.py."""
    file = Path(__file__).resolve().parents[2] / 'conftest.py'
    spec = importlib.util.spec_from_file_location('bc_test_conftest', file)
    if spec is None or spec.loader is None:
        raise ImportError(f'expected {file}')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    number, descriptor = module.allocate_domain()
    return number, descriptor
