# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong when episodes are judged."""

from __future__ import annotations

from bc_runtime.spec.errors import BcError


class EvaluationError(BcError):
    """Recorded episodes do not hold what an evaluation needs."""
