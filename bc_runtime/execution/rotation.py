# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions (x, y, z, w; geometry_msgs order) and the other forms a policy may use.

A rotation in 6D form holds the first two columns of the matrix (Zhou et al. 2019, "On the
continuity of rotation representations in neural networks"); policies that hold the first two rows
work as well, as means and geodesics commute with the transpose. Axis-angle is the rotation vector
[rad]. All functions take arrays of shape (..., n) and work on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bc_runtime.spec.actions import GROUP_SIZES, ActionKind
from bc_runtime.spec.errors import ExecutionError

if TYPE_CHECKING:
    from bc_runtime.execution.layout import RotationGroup

Array = NDArray[np.float64]

ROTATION_KINDS = frozenset(GROUP_SIZES)

#: Below this length a quaternion or a 6D column has no usable direction.
_MIN_LENGTH = 1e-3


def check_rotations(
    values: NDArray[np.float32], groups: Sequence[RotationGroup], *, what: str
) -> None:
    """Refuse rotations without a direction: quaternions near zero, 6D columns that are parallel.

    Args:
        values: (K, D) actions in outside columns.
        groups: Which columns are rotations.
        what: Beginning of the error message.

    Raises:
        ExecutionError: names the dimension and the step.
    """
    for group in groups:
        part = values[:, group.outer : group.outer + group.size].astype(np.float64)
        if group.kind is ActionKind.QUATERNION:
            size = np.linalg.norm(part, axis=1)
        elif group.kind is ActionKind.ROTATION_6D:
            size = np.linalg.norm(np.cross(part[:, :3], part[:, 3:]), axis=1)
        else:
            continue
        if (size < _MIN_LENGTH).any():
            k = int(np.argmax(size < _MIN_LENGTH))
            raise ExecutionError(
                f'{what}: {group.kind.value} at {group.name!r}, step {k}: {part[k].tolist()} is '
                'not a rotation; the whole chunk is refused'
            )


def normalized(q: Array) -> Array:
    """Return quaternions of length 1."""
    result: Array = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return result


def canonical(q: Array) -> Array:
    """Return the one of q and -q whose last nonzero component is positive."""
    for i in (3, 2, 1, 0):
        if q[i] != 0.0:
            return q if q[i] > 0.0 else -q
    return q


def conjugate(q: Array) -> Array:
    """Return the inverse of unit quaternions."""
    result: Array = q * np.array([-1.0, -1.0, -1.0, 1.0])
    return result


def multiply(a: Array, b: Array) -> Array:
    """Return a * b: first rotate by b, then by a."""
    ax, ay, az, aw = np.moveaxis(a, -1, 0)
    bx, by, bz, bw = np.moveaxis(b, -1, 0)
    return np.stack(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ),
        axis=-1,
    )


def exp(v: Array) -> Array:
    """Return the quaternions of rotation vectors (..., 3) [rad]."""
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    # sin(a/2)/a; numpy's sinc is sin(pi x)/(pi x)
    return np.concatenate((v * (0.5 * np.sinc(angle / (2 * np.pi))), np.cos(angle / 2)), axis=-1)


def log(q: Array) -> Array:
    """Return the shortest rotation vectors (..., 3) [rad] of unit quaternions."""
    q = np.where(q[..., 3:] < 0.0, -q, q)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    half = np.arctan2(sine, q[..., 3:])
    safe = np.where(sine > 1e-12, sine, 1.0)
    return q[..., :3] * np.where(sine > 1e-12, 2.0 * half / safe, 2.0)


def from_matrix(m: Array) -> Array:
    """Return the quaternions of rotation matrices (..., 3, 3).

    Uses the eigenvector form (Bar-Itzhack 2000), which has no special cases.
    """
    k = np.empty((*m.shape[:-2], 4, 4))
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    k[..., 0, 0] = xx - yy - zz
    k[..., 1, 1] = yy - xx - zz
    k[..., 2, 2] = zz - xx - yy
    k[..., 3, 3] = xx + yy + zz
    k[..., 0, 1] = k[..., 1, 0] = m[..., 1, 0] + m[..., 0, 1]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 2, 0] + m[..., 0, 2]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 2, 1] + m[..., 1, 2]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 1, 0] - m[..., 0, 1]
    vectors: Array = np.linalg.eigh(k)[1][..., :, 3]
    return vectors


def to_matrix(q: Array) -> Array:
    """Return the rotation matrices (..., 3, 3) of unit quaternions."""
    x, y, z, w = np.moveaxis(q, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_rotation_6d(values: Array) -> Array:
    """Return the quaternions of 6D rotations (..., 6), orthonormalised by Gram-Schmidt."""
    a = normalized(values[..., :3])
    b = values[..., 3:] - np.sum(a * values[..., 3:], axis=-1, keepdims=True) * a
    b = normalized(b)
    return from_matrix(np.stack((a, b, np.cross(a, b)), axis=-1))


def to_rotation_6d(q: Array) -> Array:
    """Return the 6D form (..., 6) of unit quaternions."""
    m = to_matrix(q)
    return np.concatenate((m[..., :, 0], m[..., :, 1]), axis=-1)


def to_quaternion(values: Array, kind: ActionKind) -> Array:
    """Return the unit quaternions of rotations in the form `kind`."""
    if kind is ActionKind.QUATERNION:
        return normalized(values)
    if kind is ActionKind.ROTATION_6D:
        return from_rotation_6d(values)
    return exp(values)


def from_quaternion(q: Array, kind: ActionKind) -> Array:
    """Return unit quaternions in the form `kind`."""
    if kind is ActionKind.QUATERNION:
        return q
    if kind is ActionKind.ROTATION_6D:
        return to_rotation_6d(q)
    return log(q)


def align_signs(q: Array) -> Array:
    """Return (K, 4) quaternions with signs chosen so that neighbours are close."""
    flip = np.sum(q[1:] * q[:-1], axis=-1) < 0.0
    sign = np.concatenate(([1.0], np.where(np.cumsum(flip) % 2 == 1, -1.0, 1.0)))
    return q * sign[:, None]


def slerp(q0: Array, q1: Array, u: float | Array) -> tuple[Array, Array]:
    """Return (n, 4) quaternions at the part u of the geodesics from q0 to q1, and their d/du.

    The quaternions of a pair must have the signs that make them close, see `align_signs`.
    """
    cosine = np.sum(q0 * q1, axis=1, keepdims=True)
    across = q1 - cosine * q0
    sine = np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.arctan2(sine, cosine)  # of the sphere in four dimensions: half of the rotation's
    arc = across * np.where(sine > 1e-12, angle / np.where(sine > 1e-12, sine, 1.0), 1.0)
    passed = u * angle
    c, sinc = np.cos(passed), np.sinc(passed / np.pi)  # sin(x) / x
    return c * q0 + u * sinc * arc, c * arc - angle * passed * sinc * q0


def mean(q: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Return the weighted mean rotation of (n, 4) quaternions.

    The mean is the eigenvector of the largest eigenvalue of sum(w q q^T) (Markley et al. 2007,
    "Averaging quaternions"): it ignores the signs and the order of the quaternions.

    Returns:
        The mean (4,) with canonical sign, and the eigenvalues (4,) and eigenvectors (4, 4) of the
        matrix, ascending, for `mean_rate`.
    """
    matrix = (weights[:, None] * q).T @ q
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return canonical(vectors[:, 3]), eigenvalues, vectors


def mean_rate(
    mean_q: Array, q: Array, q_rate: Array, weights: Array, eigenvalues: Array, vectors: Array
) -> Array:
    """Return d/dt of `mean` for fixed weights: first-order perturbation of the eigenvector."""
    half = (weights[:, None] * q_rate).T @ q
    m_rate = half + half.T
    gap = eigenvalues[3] - eigenvalues[:3]
    scale = np.where(gap > 1e-9, 1.0 / np.where(gap > 1e-9, gap, 1.0), 0.0)
    others = vectors[:, :3]
    result: Array = others @ (scale * (others.T @ (m_rate @ mean_q)))
    return result
