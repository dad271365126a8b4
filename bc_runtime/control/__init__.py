# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The control loop: chunks and joint states in, one safe command per tick out."""

from bc_runtime.control.loop import ControlLoop
from bc_runtime.control.options import ControlOptions
from bc_runtime.control.tick import TickResult

__all__ = ['ControlLoop', 'ControlOptions', 'TickResult']
