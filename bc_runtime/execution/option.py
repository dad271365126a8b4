# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Option: what a strategy declares about a field that can be set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a strategy that can be set.

    Attributes:
        meaning: For the reference, without a full stop.
        minimum: Numbers are at least this.
        maximum: Numbers are at most this.
        setting: Name of the parameter, if other than that of the field.
        from_policy: At its default, the policy says it.
    """

    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    setting: str = ''
    from_policy: bool = False
