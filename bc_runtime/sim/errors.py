# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the simulated robot."""

from __future__ import annotations

from bc_runtime.spec.errors import BcError


class SimError(BcError):
    """The simulated robot was asked for something that it cannot do."""
