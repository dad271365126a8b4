# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of every sensor in, undecoded; the policy's inputs at one ROS time out."""

from bc_runtime.observation.alignment import (
    Alignment,
    AlignMode,
    Selection,
    Unserved,
    align,
    history_times,
    interpolate,
)
from bc_runtime.observation.assembler import ObservationAssembler
from bc_runtime.observation.binding import StreamKind, StreamRequest, bind
from bc_runtime.observation.errors import (
    FieldPathError,
    ImageError,
    UnknownEncoding,
    UnknownInstruction,
    UnknownStream,
)
from bc_runtime.observation.field_path import FieldPath
from bc_runtime.observation.image_types import CompressedImage, RawImage
from bc_runtime.observation.images import decode_image
from bc_runtime.observation.observation import Observation, StreamReport
from bc_runtime.observation.picture import make_picture
from bc_runtime.observation.raw_image import SUPPORTED_ENCODINGS
from bc_runtime.observation.reasons import Reason, ReasonCode
from bc_runtime.observation.resize import resize_image
from bc_runtime.observation.serialized import read_compressed_image, read_image
from bc_runtime.observation.stream_buffer import (
    Defect,
    PushResult,
    Sample,
    StreamBuffer,
    StreamCounters,
)
from bc_runtime.observation.streams import choose_stamp

__all__ = [
    'ObservationAssembler',
    'Observation',
    'StreamReport',
    'Reason',
    'ReasonCode',
    'StreamKind',
    'StreamRequest',
    'bind',
    'StreamBuffer',
    'StreamCounters',
    'Sample',
    'PushResult',
    'choose_stamp',
    'Alignment',
    'AlignMode',
    'Selection',
    'Unserved',
    'align',
    'history_times',
    'interpolate',
    'RawImage',
    'CompressedImage',
    'SUPPORTED_ENCODINGS',
    'decode_image',
    'read_image',
    'read_compressed_image',
    'resize_image',
    'make_picture',
    'Defect',
    'FieldPath',
    'FieldPathError',
    'ImageError',
    'UnknownEncoding',
    'UnknownInstruction',
    'UnknownStream',
]
