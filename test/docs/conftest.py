# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the documentation share: the writer of its tables, and the graph's names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER))  # for `ros_names`


@pytest.fixture(scope='session')
def tables() -> ModuleType:
    """Return scripts/docs_tables.py as a module."""
    spec = importlib.util.spec_from_file_location(
        'bc_docs_tables', ROOT / 'scripts/docs_tables.py'
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session')
def topics() -> ModuleType:
    """Return what the nodes' sources say about topics and services."""
    import ros_names

    return ros_names
