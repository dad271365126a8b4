# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the observation station; all derive from `ObservationError`."""

from __future__ import annotations

from bc_runtime.spec.errors import ObservationError


class UnknownInstruction(ObservationError):
    """The policy was not trained on these words; the message lists the words that it knows."""


class ImageError(ObservationError):
    """A picture cannot be decoded or does not fit the policy's resize rule."""


class UnknownEncoding(ImageError):
    """The encoding of a picture is not among those decoded here.

    Attributes:
        encoding: What the message said.
    """

    def __init__(self, message: str, *, encoding: str) -> None:
        super().__init__(message)
        self.encoding = encoding


class FieldPathError(ObservationError):
    """A path like `wrench.force.z` does not lead to a number inside a message."""


class UnknownStream(ObservationError):
    """Data was pushed for a stream that the policy does not use."""
