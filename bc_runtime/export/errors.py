# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the exporters."""

from __future__ import annotations

from bc_runtime.spec.errors import PolicyError


class ExportError(PolicyError):
    """A policy cannot be exported; nothing was written."""


class StatisticsMissing(ExportError):
    """The statistics of the training data are missing or not finite."""


class ParityError(ExportError):
    """Torch and ONNX Runtime do not give the same actions.

    Attributes:
        max_abs_error: Largest deviation found, in action units.
        tolerance: Largest deviation allowed.
    """

    def __init__(self, message: str, *, max_abs_error: float, tolerance: float) -> None:
        super().__init__(message)
        self.max_abs_error = max_abs_error
        self.tolerance = tolerance
