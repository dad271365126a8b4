# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a policy file, its runtime or one inference."""

from __future__ import annotations

from bc_runtime.spec.errors import PolicyError


class ModelNotFound(PolicyError):
    """No such model; lists what is available.

    Attributes:
        requested: The path or name that was asked for.
        available: Names that can be loaded instead.
    """

    def __init__(self, message: str, *, requested: str, available: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.requested = requested
        self.available = available


class ModelNotAllowed(PolicyError):
    """The file exists, but lies outside the allowed directories or is too large."""


class ModelFileError(PolicyError):
    """The file is not a usable ONNX model: empty, damaged, truncated, too new, foreign."""


class SpecMissing(PolicyError):
    """The model carries no policy spec and has no side file."""


class SpecMismatch(PolicyError):
    """The spec and the graph do not describe the same policy; prints both."""


class SelfTestFailed(PolicyError):
    """The stored self-test gives another chunk on this machine.

    Attributes:
        deviation: Largest absolute deviation, in action units.
        tolerance: Largest deviation allowed.
    """

    def __init__(self, message: str, *, deviation: float, tolerance: float) -> None:
        super().__init__(message)
        self.deviation = deviation
        self.tolerance = tolerance


class BackendUnavailable(PolicyError):
    """No backend runs this kind of model here, or its package is missing or installed twice."""


class ProviderUnavailable(BackendUnavailable):
    """The requested execution provider does not work here, and a fallback was not allowed.

    Attributes:
        requested: The provider that was asked for.
        available: The providers that the installed package was built with.
    """

    def __init__(self, message: str, *, requested: str, available: tuple[str, ...]) -> None:
        super().__init__(message)
        self.requested = requested
        self.available = available


class InputMismatch(PolicyError):
    """The tensors of one inference are not those of the spec: name, type or shape."""


class InferenceFailed(PolicyError):
    """The backend raised while running the policy, or gave a chunk of another shape."""


class NonFiniteOutput(PolicyError):
    """The policy gave NaN or infinity; the chunk is not usable."""


class NoPolicy(PolicyError):
    """No policy is in charge of a slot."""


class SlotBusy(PolicyError):
    """A candidate is already being loaded."""
