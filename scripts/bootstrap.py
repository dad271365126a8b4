#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Make the Python environment: `scripts/bootstrap.py [--venv DIR] GROUP...`.

A group is a file in requirements/. The group `ros` is answered by the ROS 2 distribution that is
sourced, or else by the wheels of ROS_WHEELS (kilted, jazzy). What was done is noted in the
environment, so a second call ends at once. Plain standard library: this runs on a bare machine.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
from pathlib import Path
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / 'requirements'
WHEELS = ('kilted', 'jazzy')
TOO_OLD = ('foxy', 'galactic', 'humble', 'iron')
PYTHONS = ((3, 11), (3, 14))
CMAKE = (3, 22)
# What a ROS distribution brings by itself, compiled against one another: never replaced by pip.
FROM_DISTRIBUTION = {'numpy': 'numpy', 'opencv-python-headless': 'cv2', 'pyyaml': 'yaml'}
APT = {'numpy': 'python3-numpy', 'cv2': 'python3-opencv', 'yaml': 'python3-yaml'}


def fail(*sentences: str) -> None:
    """End with one sentence per problem."""
    for sentence in sentences:
        print(f'bc_runtime: {sentence}', file=sys.stderr)
    sys.exit(1)


def say(text: str) -> None:
    """Tell the user what happens."""
    print(f'bc_runtime: {text}', flush=True)


def sourced_distribution(venv: Path) -> str | None:
    """Return the name of the ROS 2 distribution that is sourced, None for the wheels."""
    name = os.environ.get('ROS_DISTRO')
    if not name or os.environ.get('ROS_WHEELS'):
        return None
    spec = importlib.util.find_spec('rclpy')
    if spec is None or spec.origin is None:
        say(f'ROS_DISTRO={name}, but {sys.executable} has no rclpy: the ROS 2 wheels are used')
        return None
    if venv in Path(spec.origin).parents:
        return None
    if name in TOO_OLD:
        fail(
            f'ROS 2 {name} is sourced, and bc_runtime needs Jazzy or newer. Source a newer one, '
            'or start from a shell with none: the ROS 2 wheels are then used.'
        )
    return name


def supported(version: tuple) -> bool:
    """Say whether this Python has all the wheels."""
    return PYTHONS[0] <= tuple(version[:2]) <= PYTHONS[1]


def use_supported_python(distribution: str | None) -> None:
    """Start again with another Python of this machine if this one is too old or too new."""
    if supported(sys.version_info):
        return
    wanted = ' to '.join('.'.join(map(str, version)) for version in PYTHONS)
    have = f'{platform.python_version()} ({sys.executable})'
    if distribution:
        fail(f'Python {wanted} is needed, and ROS 2 {distribution} came with {have}.')
    for minor in range(PYTHONS[0][1], PYTHONS[1][1] + 1):
        other = shutil.which(f'python3.{minor}')
        if other and supported((3, minor)):
            os.execv(other, [other, *sys.argv])
    fail(
        f'Python {wanted} is needed, and python3 is {have}. Install one, for example: '
        'sudo apt install python3.12 python3.12-venv python3.12-dev'
    )


def missing_tools(groups: list[str], distribution: str | None) -> list[str]:
    """Name what pip cannot install, one sentence each that says what to do."""
    sentences = []
    version = f'python3.{sys.version_info[1]}'
    if not (importlib.util.find_spec('ensurepip') and importlib.util.find_spec('venv')):
        sentences.append(
            f'Python cannot make virtual environments. Install: sudo apt install {version}-venv'
        )
    if 'ros' not in groups:
        return sentences
    if not any(shutil.which(name) for name in (os.environ.get('CXX') or 'c++', 'g++', 'clang++')):
        sentences.append('There is no C++ compiler. Install: sudo apt install g++')
    if not shutil.which('make'):
        sentences.append('There is no make. Install: sudo apt install make')
    if not (Path(sysconfig.get_paths()['include']) / 'Python.h').is_file():
        sentences.append(
            f'The headers of Python are missing. Install: sudo apt install {version}-dev'
        )
    if distribution:
        for module, package in APT.items():
            if importlib.util.find_spec(module) is None:
                sentences.append(
                    f'ROS 2 {distribution} is sourced without the Python module {module}. '
                    f'Install: sudo apt install {package}'
                )
    elif sys.platform != 'linux' or platform.machine() != 'x86_64':
        sentences.append(
            f'There are ROS 2 wheels for Linux on x86_64 only, and this is {sys.platform} on '
            f'{platform.machine()}. Install ROS 2 Jazzy or newer, source it and run this again.'
        )
    return sentences


def cmake_is_usable(path: str) -> bool:
    """Say whether this machine has a CMake that is new enough."""
    cmake = shutil.which('cmake', path=path)
    if cmake is None:
        return False
    text = subprocess.run([cmake, '--version'], capture_output=True, text=True, check=False).stdout
    found = re.search(r'(\d+)\.(\d+)', text)
    return found is not None and (int(found[1]), int(found[2])) >= CMAKE


def requirement_files(group: str, wheels: str) -> list[Path]:
    """Return the files that make up a group; with a sourced distribution `wheels` is empty."""
    names = [group]
    if group == 'ros':
        names = ['build', *([f'ros-{wheels}'] if wheels else [])]
    files = [REQUIREMENTS / f'{name}.txt' for name in names]
    for file in files:
        if not file.is_file():
            have = ', '.join(sorted(path.stem for path in REQUIREMENTS.glob('*.txt')))
            fail(f'{file.name} is not among the requirements: {have}')
    return files


def digest(files: list[Path]) -> str:
    """Hash files together with the constraints that they name."""
    every = list(files)
    for file in files:
        every += [REQUIREMENTS / name for name in re.findall(r'^-c (\S+)', file.read_text(), re.M)]
    return hashlib.sha256(b'\0'.join(file.read_bytes() for file in every)).hexdigest()[:16]


def for_distribution(files: list[Path], venv: Path) -> list[Path]:
    """Copy requirements without what the distribution brings; its versions become constraints."""
    from importlib.metadata import PackageNotFoundError, version

    kept = {}
    for name in FROM_DISTRIBUTION:
        try:
            kept[name] = version(name)
        except PackageNotFoundError:
            kept[name] = None
    folder = venv / 'requirements'
    folder.mkdir(exist_ok=True)
    for file in [REQUIREMENTS / 'constraints.txt', *files]:
        lines = []
        for line in file.read_text().splitlines():
            name = line.split('==')[0].strip().lower()
            if name not in kept:
                lines.append(line)
            elif file.name == 'constraints.txt' and kept[name]:
                lines.append(f'{name}=={kept[name]}')
        (folder / file.name).write_text('\n'.join(lines) + '\n')
    return [folder / file.name for file in files]


def pip_install(venv: Path, files: list[Path]) -> None:
    """Install requirement files, with one live line on a terminal and the log at hand."""
    log = venv / 'pip.log'
    command = [str(venv / 'bin' / 'python'), '-m', 'pip', 'install', '--no-input']
    command += ['--disable-pip-version-check', '--progress-bar', 'off']
    for file in files:
        command += ['-r', str(file)]
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')}
    live = sys.stdout.isatty()
    with log.open('w') as out:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        for line in process.stdout or ():
            out.write(line)
            words = line.split()
            if live and len(words) > 1 and words[0] in ('Collecting', 'Downloading', 'Installing'):
                print(f'\r\033[K  {words[0].lower()} {words[1][:60]}', end='', flush=True)
    if live:
        print('\r\033[K', end='', flush=True)
    if process.wait() != 0:
        print('\n'.join(log.read_text().splitlines()[-20:]), file=sys.stderr)
        fail(
            f'pip could not install {", ".join(file.stem for file in files)} (see above, and '
            f'{log}). Is the package index reachable? Then run the same command again.'
        )


def wheels_of(known: dict) -> str:
    """Return the wheels that an environment has: asked for once, they stay."""
    name, _, kind = known.get('identity', {}).get('ros', '').partition(' ')
    return name if kind == 'wheels' and name in WHEELS else WHEELS[0]


def describe(identity: dict) -> str:
    """Say in words for what an environment was made."""
    ros = '' if identity['ros'] == 'none' else f', ROS 2 {identity["ros"]}'
    return f'Python {identity["python"]}{ros} in {identity["venv"]}'


def main() -> None:
    """Bring the environment up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv')
    parser.add_argument('groups', nargs='+', metavar='GROUP')
    options = parser.parse_args()
    venv = options.venv.absolute()

    record = venv / 'bc_environment.json'
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}

    distribution = sourced_distribution(venv)
    use_supported_python(distribution)
    wheels = '' if distribution else os.environ.get('ROS_WHEELS') or wheels_of(known)
    if wheels and wheels not in WHEELS:
        fail(f'ROS_WHEELS={wheels} is not available; there are wheels of: {", ".join(WHEELS)}')
    python = getattr(sys, '_base_executable', None) or sys.executable
    identity = {
        'ros': f'{distribution} distribution' if distribution else f'{wheels} wheels',
        'python': f'{sys.version_info[0]}.{sys.version_info[1]}',
        'venv': str(venv),
    }
    if 'ros' not in options.groups:
        identity['ros'] = 'none'

    installed = known.get('groups', {})
    fresh = known.get('identity') != identity or not (venv / 'bin' / 'python').exists()
    groups = list(options.groups)
    if 'ros' in groups and 'cmake' not in installed and not cmake_is_usable(os.environ['PATH']):
        groups.append('cmake')
    files = {group: requirement_files(group, wheels) for group in groups}
    wanted = {group: digest(files[group]) for group in groups}
    if not fresh and all(installed.get(group) == wanted[group] for group in groups):
        return

    problems = missing_tools(groups, distribution)
    if problems:
        fail(*problems)
    if fresh:
        if venv.exists():
            if not known:
                fail(f'{venv} was not made by this project. Move it away, or remove it.')
            say(f'{venv.name} was made for {describe(known["identity"])}: it is made anew')
            shutil.rmtree(venv)
        installed = {}
        say(f'making {venv.name} for {describe(identity)}')
        site = ['--system-site-packages'] if distribution and 'ros' in groups else []
        subprocess.run([python, '-m', 'venv', *site, str(venv)], check=True)
        record.write_text(json.dumps({'identity': identity, 'groups': {}}))
    stale = [group for group in groups if installed.get(group) != wanted[group]]
    say(f'installing {", ".join(stale)} (pinned in requirements/)')
    start = time.monotonic()
    chosen = [file for group in stale for file in files[group]]
    if distribution and 'ros' in groups:
        chosen = for_distribution(chosen, venv)
    pip_install(venv, chosen)
    if wheels and 'ros' in stale:
        subprocess.run(
            [str(venv / 'bin' / 'python'), str(ROOT / 'scripts' / 'ros_underlay.py')], check=True
        )
    note = {'identity': identity, 'groups': {**installed, **{g: wanted[g] for g in stale}}}
    record.write_text(json.dumps(note, indent=2) + '\n')
    say(f'{venv.name} is ready after {time.monotonic() - start:.0f} s')


if __name__ == '__main__':
    main()
