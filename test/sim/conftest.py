# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from bc_runtime.sim.arm import ArmSim


@pytest.fixture
def sim() -> ArmSim:
    return ArmSim()
