# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Load and run policies."""

from bc_runtime.policy.base import Inference, Policy, Prefix, accepts_prefix
from bc_runtime.policy.errors import (
    BackendUnavailable,
    InferenceFailed,
    InputMismatch,
    ModelFileError,
    ModelNotAllowed,
    ModelNotFound,
    NonFiniteOutput,
    NoPolicy,
    ProviderUnavailable,
    SelfTestFailed,
    SlotBusy,
    SpecMismatch,
    SpecMissing,
)
from bc_runtime.policy.exchange import SlotState
from bc_runtime.policy.loader import load_policy
from bc_runtime.policy.model_path import list_models
from bc_runtime.policy.onnx_policy import OnnxPolicy
from bc_runtime.policy.slot import PolicyFacts, PolicySlot, SlotStatus
from bc_runtime.policy.two_graph_policy import TwoGraphPolicy

__all__ = [
    'BackendUnavailable',
    'Inference',
    'InferenceFailed',
    'InputMismatch',
    'ModelFileError',
    'ModelNotAllowed',
    'ModelNotFound',
    'NoPolicy',
    'NonFiniteOutput',
    'OnnxPolicy',
    'Policy',
    'PolicyFacts',
    'PolicySlot',
    'Prefix',
    'ProviderUnavailable',
    'SelfTestFailed',
    'SlotBusy',
    'SlotState',
    'SlotStatus',
    'SpecMismatch',
    'SpecMissing',
    'TwoGraphPolicy',
    'accepts_prefix',
    'list_models',
    'load_policy',
]
