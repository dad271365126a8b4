# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Which files make up a bag."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
import re

from bc_runtime.recording.errors import BagDamaged, BagNotFound
from bc_runtime.recording.metadata import FILE_NAME, BagMetadata, read_metadata
from bc_runtime.recording.storage import FileKind, kind_of
from bc_runtime.spec.errors import available

_SUFFIXES = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')
_NUMBERED = re.compile(r'_(\d+)\.(?:mcap|db3)(?:\.zstd)?$')


@dataclass(frozen=True, slots=True, kw_only=True)
class BagFiles:
    """The files of a bag.

    Attributes:
        path: What was asked for: a directory or a file.
        files: Storage files in the order of their numbers.
        missing: Names of files that metadata.yaml lists and that are not there.
        unlisted: Files of the same series that metadata.yaml does not list.
        metadata: Contents of metadata.yaml; None if there is none, or if a file was asked for.
        problem: What is wrong with metadata.yaml, empty if nothing is.
    """

    path: Path
    files: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    unlisted: tuple[Path, ...] = ()
    metadata: BagMetadata | None = None
    problem: str = ''


def find_bag_files(path: Path) -> BagFiles:
    """Find the files of a bag.

    Args:
        path: Bag directory, its metadata.yaml, or a single storage file.

    Raises:
        BagNotFound: There is no bag; the message lists those beside it.
    """
    if path.name == FILE_NAME and path.is_file():
        path = path.parent
    if path.is_file():
        return BagFiles(path=path, files=(path,))
    present = _series(path)
    metadata, problem = None, ''
    if (path / FILE_NAME).is_file():
        try:
            metadata = read_metadata(path)
        except (BagDamaged, UnicodeDecodeError) as error:
            problem = str(error)
    if not present and metadata is None and not problem:
        parent = path if path.is_dir() else path.parent
        raise BagNotFound(
            f'no bag at {path}: expected a directory with {FILE_NAME}, or a file with one of the '
            f'endings {", ".join(_SUFFIXES)}. Bags in {parent}: '
            f'{available(bag.name for bag in find_bags(parent))}'
        )
    if metadata is None:
        return BagFiles(path=path, files=present, problem=problem)
    # The first releases wrote paths with the name of the directory.
    names = [PurePosixPath(name).name for name in metadata.files]
    listed, missing = [], []
    for name in names:
        file = _find(path, name)
        if file is None:
            missing.append(name)
        else:
            listed.append(file)
    return BagFiles(
        path=path,
        files=tuple(listed),
        missing=tuple(missing),
        unlisted=_same_series(present, names, listed),
        metadata=metadata,
    )


def find_bags(directory: Path) -> list[Path]:
    """Return the bag directories directly below a directory, in the order of their names."""
    if not directory.is_dir():
        return []
    return sorted(path.parent for path in directory.glob(f'*/{FILE_NAME}'))


def _find(folder: Path, name: str) -> Path | None:
    """Return a listed file; somebody may have decompressed or compressed it since."""
    other = name.removesuffix('.zstd') if name.endswith('.zstd') else f'{name}.zstd'
    return next((folder / n for n in (name, other) if (folder / n).is_file()), None)


def _series(folder: Path) -> tuple[Path, ...]:
    """Return the storage files of a directory in the order of their numbers."""
    files = [f for f in _list(folder) if f.name.endswith(_SUFFIXES)]
    names = {file.name for file in files}
    # A file that was being compressed when the recorder died stands there twice.
    kept = [f for f in files if f.name.removesuffix('.zstd') not in names - {f.name}]
    return tuple(sorted(kept, key=_number))


def _same_series(
    present: Iterable[Path], names: Iterable[str], listed: Iterable[Path]
) -> tuple[Path, ...]:
    """Return the files that are numbered like the listed ones and are none of them."""
    series = {_NUMBERED.sub('', name) for name in names if _NUMBERED.search(name)}
    return tuple(
        file
        for file in present
        if file not in listed
        and _NUMBERED.search(file.name)
        and _NUMBERED.sub('', file.name) in series
    )


def _list(folder: Path) -> Iterable[Path]:
    with suppress(NotADirectoryError, FileNotFoundError):
        return [file for file in folder.iterdir() if file.is_file()]
    return ()


def _number(file: Path) -> tuple[int, str]:
    match = _NUMBERED.search(file.name)
    return (int(match[1]) if match else 0, file.name)


def kind_of_bag_file(file: Path) -> FileKind:
    """Return the kind of a storage file.

    Raises:
        BagDamaged: It is of no kind that a bag has.
    """
    kind = kind_of(file)
    if kind is FileKind.OTHER:
        size = file.stat().st_size
        raise BagDamaged(
            f'{file} is empty; nothing was written into it'
            if size == 0
            else f'{file} is no file of a bag: it begins neither as MCAP nor as SQLite nor as '
            f'Zstandard. If it was one, bc recover {file} looks for what is left'
        )
    return kind
