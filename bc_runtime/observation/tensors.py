# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""TensorMaker: chosen samples -> the tensors of the policy's graph."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bc_runtime.observation.alignment import Selection
from bc_runtime.observation.binding import (
    JOINT_STATES,
    anchor_names,
    camera_stream,
    vector_inputs,
    vector_stream,
)
from bc_runtime.observation.columns import JointColumn
from bc_runtime.observation.errors import ImageError
from bc_runtime.observation.picture import is_blank
from bc_runtime.observation.pictures import Pictures
from bc_runtime.observation.reasons import Reason, ReasonCode, reason
from bc_runtime.observation.stream_buffer import Sample
from bc_runtime.observation.streams import Stream
from bc_runtime.spec.inputs import ImageInput
from bc_runtime.spec.policy_spec import PolicySpec

Selections = list[Selection[Sample[Any]]]
_Source = tuple[str, int, str, str]


@dataclass(slots=True, kw_only=True)
class Made:
    """What was made of the chosen samples; tensors are complete only without reasons."""

    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    anchor: dict[str, float] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NumberPlan:
    """One state or vector input: which columns of which stream."""

    name: str
    shape: tuple[int, ...]
    stream: str
    columns: list[int]


class TensorMaker:
    """Makes tensors; pictures are kept, so that no frame of a history is decoded twice.

    Not thread-safe: its owner lets one thread in at a time.

    Args:
        spec: The policy.
        streams: Its streams on the robot, by name.
    """

    def __init__(self, spec: PolicySpec, streams: Mapping[str, Stream]) -> None:
        self._spec = spec
        self._streams = streams
        self._plans = _number_plans(spec, streams)
        self._anchors = _anchor_columns(spec, streams)
        self._pictures = Pictures(
            max(4, 2 * spec.n_obs_steps) * len(spec.image_inputs), self._count_decoded
        )

    def make(self, chosen: Mapping[str, Selections]) -> Made:
        """Return tensors, read-only, in the shapes of the graph.

        Args:
            chosen: Stream name -> one selection per time step, oldest first.
        """
        made = Made()
        rows = {
            name: stream.rows(chosen[name])
            for name, stream in self._streams.items()
            if not stream.is_camera
        }
        for plan in self._plans:
            tensor = rows[plan.stream][:, plan.columns].astype(np.float32).reshape(plan.shape)
            tensor.flags.writeable = False
            made.tensors[plan.name] = tensor
        for name, (stream, column) in self._anchors.items():
            made.anchor[name] = float(rows[stream][-1, column])
        decoded: dict[_Source, NDArray[Any]] = {}
        images = [(item, chosen[camera_stream(item.camera)]) for item in self._spec.image_inputs]
        # What another thread is busy with comes last; complaints keep the order of the inputs.
        for item, selections in images:
            if not self._pictures.under_way(item, selections[-1].first):
                with suppress(ImageError, cv2.error, MemoryError):
                    self._pictures.get(item, selections[-1].first, decoded)
        for item, selections in images:
            self._image(item, selections, decoded, made)
        return made

    def prepare(self, camera: str, sample: Sample[Any]) -> None:
        """Begin with the pictures of one frame that will probably be chosen.

        A frame that cannot be decoded is left for `make` to complain about.
        """
        items = [item for item in self._spec.image_inputs if item.camera == camera]
        self._pictures.begin(items, sample)

    def _image(
        self,
        item: ImageInput,
        selections: Selections,
        decoded: dict[_Source, NDArray[Any]],
        made: Made,
    ) -> None:
        stream = camera_stream(item.camera)
        try:
            pictures = [self._pictures.get(item, s.first, decoded) for s in selections]
        except (ImageError, cv2.error, MemoryError) as error:
            made.reasons.append(reason(ReasonCode.DECODE, stream, str(error)))
            return
        if is_blank(item, pictures[-1]):
            text = f'the picture for {item.name!r} is all black or all white'
            made.warnings.append(reason(ReasonCode.BLANK, stream, text))
        if len(pictures) == 1:
            made.tensors[item.name] = pictures[0].reshape(item.shape)
            return
        tensor = np.stack(pictures).reshape(item.shape)
        tensor.flags.writeable = False
        made.tensors[item.name] = tensor

    def _count_decoded(self, camera: str) -> None:
        self._streams[camera_stream(camera)].buffer.counters.decoded += 1


def _number_plans(spec: PolicySpec, streams: Mapping[str, Stream]) -> list[_NumberPlan]:
    plans = []
    for state in spec.state_inputs:
        columns = streams[JOINT_STATES].columns
        wanted = [JointColumn(quantity=state.quantity, joint=joint) for joint in state.joints]
        plans.append(
            _NumberPlan(
                name=state.name,
                shape=state.shape,
                stream=JOINT_STATES,
                columns=[columns.index(column) for column in wanted],
            )
        )
    for vector in vector_inputs(spec):
        name = vector_stream(vector.stream)
        columns = streams[name].columns
        plans.append(
            _NumberPlan(
                name=vector.name,
                shape=vector.shape,
                stream=name,
                columns=[columns.index(column) for column in vector.names],
            )
        )
    return plans


def _anchor_columns(spec: PolicySpec, streams: Mapping[str, Stream]) -> dict[str, tuple[str, int]]:
    """Return where the observed value of each relative action is: (stream, column)."""
    found = {}
    for name in anchor_names(spec):
        wanted: tuple[JointColumn | str, ...] = (
            JointColumn(quantity='position', joint=name),
            name,
        )
        places = [
            (stream.name, stream.columns.index(column))
            for column in wanted
            for stream in streams.values()
            if column in stream.columns
        ]
        found[name] = places[0]
    return found
