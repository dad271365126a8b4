# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ModelFolders: where a node looks for models, and where they may come from at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bc_runtime.binding import check_binding
from bc_runtime.policy.errors import ModelNotAllowed
from bc_runtime.policy.model_path import check_allowed, find_model
from bc_runtime.policy.remote import contract
from bc_runtime.policy.spec_of import spec_of
from bc_runtime.resources import model_directories
from bc_runtime.spec import BcError, PolicyError, RobotConfig
from bc_runtime.spec.errors import available


@dataclass(frozen=True)
class ModelFolders:
    """Where models are looked for by name, and where they may come from at all.

    Attributes:
        address: Of the policy server that the node was started with, if it was one. Whoever
            starts the node may name a server; whoever may only set parameters may not.
    """

    searched: tuple[Path, ...]
    allowed: tuple[Path, ...]
    address: str = ''

    @classmethod
    def of(cls, given: Sequence[str], model: str) -> ModelFolders:
        """Return what the parameters say; `model` is the one at the start."""
        named = tuple(Path(each).expanduser() for each in given if each)
        address = model if contract.is_address(model) else ''
        if named:
            return cls(searched=named, allowed=named, address=address)
        usual = tuple(model_directories())
        try:
            home: tuple[Path, ...] = (find_model(model, model_dirs=usual).resolve().parent,)
        except PolicyError:  # loading it says the same, with what to do
            home = ()
        return cls(searched=usual, allowed=(*usual, *home), address=address)

    def allowed_for(self, model: str) -> tuple[Path, ...] | None:
        """Return the folders that this model may come from; None: it need not come from any."""
        return None if self.address and model == self.address else self.allowed

    def check(self, model: str) -> None:
        """Refuse a file outside the folders.

        Raises:
            PolicyError: it is not there, or not allowed.
        """
        if contract.is_address(model):
            if model != self.address:
                raise ModelNotAllowed(
                    f'{model}: a policy server is named when the node starts, or by a side file '
                    f'({contract.SUFFIX}) in one of: {available(map(str, self.allowed))}'
                )
            return
        check_allowed(find_model(model, model_dirs=self.searched), allowed_dirs=self.allowed)

    def refusal(self, model: str, robot: RobotConfig) -> str:
        """Return what can be known at once against a model for a robot; empty if nothing."""
        try:
            self.check(model)
            check_binding(spec_of(model, self.searched), robot)
        except BcError as error:
            return str(error)
        # A name or a file must never end the node, whatever is wrong with it.
        except Exception as error:  # noqa: BLE001
            return f'{type(error).__name__}: {error}'
        return ''
