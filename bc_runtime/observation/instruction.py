# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""InstructionSlot: the instruction in force, and its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.errors import UnknownInstruction
from bc_runtime.observation.reasons import Reason, ReasonCode, reason
from bc_runtime.spec.errors import BindingError
from bc_runtime.spec.inputs import InputKind, InstructionInput

INSTRUCTION = 'instruction'


class InstructionSlot:
    """Holds the newest instruction; words that the policy does not know revoke the old ones.

    The robot must not go on with the red cube when it was told about a thing that it has never
    heard of.
    """

    def __init__(self, inputs: Sequence[InstructionInput]) -> None:
        self._inputs = tuple(inputs)
        self._tensors: dict[str, NDArray[np.generic]] = {}
        self._reason: Reason | None = None
        self.text = ''
        self.clear()

    def clear(self) -> None:
        """Forget the instruction."""
        self.text = ''
        self._tensors = {}
        self._reason = (
            reason(
                ReasonCode.NO_INSTRUCTION, INSTRUCTION, f'no instruction was given{self._known()}'
            )
            if self._inputs
            else None
        )

    def set(self, text: str) -> None:
        """Take an instruction; an empty one clears.

        Raises:
            UnknownInstruction: lists what the policy knows; until a known instruction comes, every
                observation has the reason UNKNOWN_INSTRUCTION.
        """
        self.clear()
        if not text or not self._inputs:
            return
        tensors = {}
        for item in self._inputs:
            try:
                tensors[item.name] = _encode(item, text)
            except BindingError as error:
                self._reason = Reason(
                    code=ReasonCode.UNKNOWN_INSTRUCTION, stream=INSTRUCTION, text=str(error)
                )
                raise UnknownInstruction(str(error)) from None
        self.text, self._tensors, self._reason = text, tensors, None

    def read(self) -> tuple[str, Mapping[str, NDArray[np.generic]], Reason | None]:
        """Return the words, one read-only tensor per input, and what is wrong, if anything is."""
        return self.text, self._tensors, self._reason

    def _known(self) -> str:
        words = [repr(words) for item in self._inputs for words in item.table]
        return f'; the policy knows: {", ".join(sorted(set(words)))}' if words else ''


def _encode(item: InstructionInput, text: str) -> NDArray[np.generic]:
    tensor: NDArray[np.generic]
    if item.kind is InputKind.TEXT:
        tensor = np.full(item.shape, text, dtype=object)
    else:
        tensor = np.asarray(item.encode(text)).reshape(item.shape).astype(item.dtype)
    tensor.flags.writeable = False
    return tensor
