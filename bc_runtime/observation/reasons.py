# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Why an observation is not valid: a code for programs and plots, a text for the operator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """What is wrong with a stream at the time of the observation."""

    MISSING = 'MISSING'
    NOT_YET = 'NOT_YET'
    STALE = 'STALE'
    STAMPS = 'STAMPS'
    FUTURE = 'FUTURE'
    SKEW = 'SKEW'
    FROZEN = 'FROZEN'
    BLANK = 'BLANK'
    HISTORY = 'HISTORY'
    MISSING_JOINT = 'MISSING_JOINT'
    IMPLAUSIBLE = 'IMPLAUSIBLE'
    MISSING_FIELD = 'MISSING_FIELD'
    NOT_FINITE = 'NOT_FINITE'
    DECODE = 'DECODE'
    NO_INSTRUCTION = 'NO_INSTRUCTION'
    UNKNOWN_INSTRUCTION = 'UNKNOWN_INSTRUCTION'


#: What to do about each code; appended to the facts of the case.
ADVICE = {
    ReasonCode.MISSING: 'start its driver, or check the topic name in the robot YAML',
    ReasonCode.NOT_YET: 'wait for its next sample',
    ReasonCode.STALE: 'check that its driver still publishes and that the network keeps up',
    ReasonCode.STAMPS: (
        'restart its driver, or set `clock: arrival` for this stream in the robot YAML'
    ),
    ReasonCode.FUTURE: (
        "its clock is ahead of this machine's: synchronise the clocks, "
        'or set `clock: arrival` for this stream in the robot YAML'
    ),
    ReasonCode.SKEW: (
        'check its rate and dropped messages; its limit is max_skew_s in the robot YAML'
    ),
    ReasonCode.FROZEN: (
        'restart the camera; for a simulated scene without noise set frozen_s: 0 in the robot YAML'
    ),
    ReasonCode.BLANK: 'check the lens cap, the light and the exposure',
    ReasonCode.HISTORY: 'wait until the streams have run for the history of the policy',
    ReasonCode.MISSING_JOINT: (
        'one message must hold every joint that the policy needs: check the driver, '
        'and the names in the robot YAML'
    ),
    ReasonCode.IMPLAUSIBLE: (
        'look for a second publisher of these joints and a failing bus; '
        'where the robot was put elsewhere, wait'
    ),
    ReasonCode.MISSING_FIELD: 'check `fields` of this stream in the robot YAML',
    ReasonCode.NOT_FINITE: 'check the driver: a sensor value must be a finite number',
    ReasonCode.DECODE: 'check encoding and size that the camera publishes',
    ReasonCode.NO_INSTRUCTION: 'publish an instruction on the instruction topic',
    ReasonCode.UNKNOWN_INSTRUCTION: 'publish one of the instructions that the policy knows',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason.

    Attributes:
        code: For programs.
        stream: `joint_states`, `cameras/<name>`, `streams/<name>` or `instruction`.
        text: The facts, then what to do.
    """

    code: ReasonCode
    stream: str
    text: str

    def __str__(self) -> str:
        """Return `CODE stream: text`, the form used in `bc_msgs/Observation.reasons`."""
        return f'{self.code.value} {self.stream}: {self.text}'


def reason(code: ReasonCode, stream: str, facts: str) -> Reason:
    """Return a reason whose text is the facts followed by the advice for its code."""
    return Reason(code=code, stream=stream, text=f'{facts}; {ADVICE[code]}')
