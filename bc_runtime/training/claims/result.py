# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What trying a claim out gives: numbers over one variable, for several ways of doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Successes out of trials."""

    successes: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim and what was seen.

    Attributes:
        key: Short name, for files.
        title: What it is about.
        claim: What the literature says, with its source.
        setting: What was done here.
        variable: What varies along the columns, with its unit.
        columns: Its values.
        counts: Way of doing it -> one count per column; empty if `values` are given.
        values: Way of doing it -> one number per column, where nothing is counted.
        unit: Of the values.
    """

    key: str
    title: str
    claim: str
    setting: str
    variable: str
    columns: tuple[float, ...]
    counts: Mapping[str, tuple[Count, ...]]
    values: Mapping[str, tuple[float, ...]]
    unit: str = ''
