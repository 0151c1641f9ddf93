"""Files of machine code: found again, and as good as absent whatever is wrong with them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from checkrow_kernels import jit, machine_code
from checkrow_kernels.place import private_directory


def total(values, extra):
    out = 0
    for i in range(len(values)):
        out += values[i]
    return out + extra


def product(values, extra):
    return values[0] * extra


VALUES = np.array([3, 4])


def run(directory: Path, function=total, values=VALUES) -> tuple[int, int]:
    """Calls a function in a dispatcher of its own; returns the result and how often it was compiled."""
    made = jit._cached(function, directory)
    result = int(made(values, 5))
    return result, sum(made.stats.cache_misses.values())


def test_it_is_compiled_once_per_types(tmp_path) -> None:
    assert run(tmp_path) == (12, 1)
    assert run(tmp_path) == (12, 0)
    assert run(tmp_path, values=VALUES.astype(np.int8)) == (12, 1)
    assert run(tmp_path, product) == (15, 1)
    assert run(tmp_path, product) == (15, 0)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file, other: file.write_bytes(b""),
        lambda file, other: file.write_bytes(b"\0garbage" * 1000),
        lambda file, other: file.write_bytes(file.read_bytes()[:-1]),
        lambda file, other: file.write_bytes(file.read_bytes()[:40]),
        lambda file, other: file.write_bytes(file.read_bytes() + b"\0"),
        lambda file, other: flip(file, 8 * 1000),
        lambda file, other: flip(file, 8 * (file.stat().st_size - 5)),
        lambda file, other: shutil.copy(other, file),
    ],
    ids=[
        "empty",
        "garbage",
        "a byte short",
        "seal only",
        "a byte more",
        "a bit in the code",
        "a late bit",
        "another's",
    ],
)
def test_what_is_broken_is_compiled_again(tmp_path, damage) -> None:
    run(tmp_path, product)
    other = next(tmp_path.glob("test_*.nbc"))
    run(tmp_path)
    file = next(f for f in tmp_path.glob("test_*.nbc") if f != other)
    damage(file, other)
    assert run(tmp_path) == (12, 1)
    assert run(tmp_path) == (12, 0)


def flip(file: Path, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def test_no_pickle_is_read_unless_its_seal_is_right(tmp_path, monkeypatch) -> None:
    run(tmp_path)
    file = next(tmp_path.glob("test_*.nbc"))
    flip(file, 8 * 500)
    monkeypatch.setattr(machine_code.pickle, "loads", lambda _: pytest.fail("read"))
    assert run(tmp_path) == (12, 1)


def test_a_directory_in_its_place_is_left_alone(tmp_path) -> None:
    run(tmp_path)
    file = next(tmp_path.glob("test_*.nbc"))
    file.unlink()
    file.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot be kept in"):
        assert run(tmp_path) == (12, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_it_works_and_says_so(tmp_path, monkeypatch, number) -> None:
    def full(*_) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match=r"cannot be kept in .*\(no\).*CHECKROW_CACHE_DIR"):
        assert run(tmp_path) == (12, 1)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_compiled_again(tmp_path, monkeypatch) -> None:
    run(tmp_path)

    def refuse(_) -> bytes:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert run(tmp_path) == (12, 1)


def test_code_in_files_of_others_is_known_by_their_state(tmp_path) -> None:
    def made(text: str) -> object:
        file = tmp_path / "sources" / "own.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        names: dict[str, object] = {}
        exec(compile(text, str(file), "exec"), names)
        return names["f"]

    function = made("K = 2\ndef f(values, extra):\n    return K * extra\n")
    assert run(tmp_path, function) == (10, 1)
    assert run(tmp_path, function) == (10, 0)
    assert run(tmp_path, made("K = 3000\ndef f(values, extra):\n    return K * extra\n")) == (15_000, 1)


def test_a_directory_of_others_is_refused(tmp_path, monkeypatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    with pytest.raises(PermissionError, match="not private to this user; it holds code that is run"):
        private_directory(shared)
    own = private_directory(tmp_path / "own")
    assert own.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    with pytest.raises(PermissionError, match="not private to this user"):
        private_directory(own)
