"""Arrays whose memory is used again: never while anything refers to it, and never more of it kept than allowed."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pyarrow as pa
import pytest

from checkrow import buffers
from checkrow.buffers import SMALLEST_BYTES, BufferPool

ROWS = SMALLEST_BYTES // 8


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_waits_when_the_last_view_is_gone() -> None:
    pool = BufferPool()
    array = pool.empty(ROWS, np.int64)
    view = array[5:50].view(np.uint8)[3:]
    del array
    assert pool.kept_bytes == 0
    del view
    assert pool.kept_bytes >= 8 * ROWS


def test_memory_waits_when_arrow_is_done_with_it() -> None:
    pool = BufferPool()
    array = pool.empty(ROWS, np.int64)
    array[:] = np.arange(ROWS)
    arrow = pa.Array.from_buffers(pa.int64(), ROWS - 3, [None, pa.py_buffer(array[3:])]).slice(2)
    del array
    other = pool.empty(ROWS, np.int64)
    other[:] = -1
    assert arrow[0].as_py() == 5
    assert pool.kept_bytes == 0
    del arrow
    assert pool.kept_bytes >= 8 * ROWS


def test_memory_is_used_again_by_arrays_from_half_its_size_on() -> None:
    pool = BufferPool()
    array = pool.empty(8 * ROWS, np.int64)
    place = address(array)
    del array
    small = pool.empty(ROWS, np.int64)
    again = pool.empty(4 * ROWS, np.float64)
    assert address(small) != place == address(again)
    assert again.dtype == np.float64
    assert len(again) == 4 * ROWS
    assert again.flags.writeable
    assert again.flags.c_contiguous


def test_no_two_arrays_in_use_share_memory() -> None:
    seed = 3
    rng, pool, held = np.random.default_rng(seed), BufferPool(40 * SMALLEST_BYTES), {}
    for step in range(2_000):
        if held and rng.random() < 0.5:
            number = int(rng.choice(list(held)))
            array = held.pop(number)
            assert (array == number).all(), f"seed {seed}, step {step}"
            del array
        else:
            held[step] = pool.empty(int(rng.integers(1, 6 * ROWS)), np.int64)
            held[step].fill(step)
        assert pool.kept_bytes <= 40 * SMALLEST_BYTES


def test_threads_share_the_pool() -> None:
    pool, wrong = BufferPool(), []

    def work(number: int) -> None:
        for _ in range(300):
            array = pool.empty(ROWS, np.int64)
            array.fill(number)
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert pool.kept_bytes <= 4 * 2 * 8 * ROWS


def test_an_array_may_end_in_a_garbage_collection() -> None:
    pool = BufferPool()
    for _ in range(50):
        ring: list[object] = [pool.empty(ROWS, np.int64)]
        ring.append(ring)
    del ring
    gc.collect()
    assert 0 < pool.kept_bytes <= 51 * 2 * 8 * ROWS


def test_what_is_released_goes_back_to_the_system() -> None:
    pool = BufferPool()
    first, second = pool.empty(ROWS, np.int64), pool.empty(ROWS, np.int64)
    del first
    pool.release()
    assert pool.kept_bytes == 0
    del second  # it was there before the release
    assert pool.kept_bytes == 0
    third = pool.empty(ROWS, np.int64)
    del third
    assert pool.kept_bytes >= 8 * ROWS


def test_memory_waits_a_while_for_another_run() -> None:
    pool, released = BufferPool(), threading.Event()
    array = pool.empty(ROWS, np.int64)
    del array
    pool.release_later(3600.0)
    pool.release = released.set  # type: ignore[method-assign]
    pool.release_later(0.0)
    assert released.wait(10.0)
    assert pool.kept_bytes >= 8 * ROWS  # the first was called off


@pytest.mark.parametrize("rows", [0, 1, ROWS, 5 * ROWS])
def test_what_lasts_is_zero_and_not_of_the_pool(rows: int) -> None:
    before = buffers.POOL.kept_bytes
    array = buffers.lasting(rows, np.int64)
    assert len(array) == rows
    assert not array.any()
    assert array.flags.writeable
    del array
    assert buffers.POOL.kept_bytes <= before


@pytest.mark.parametrize("rows", [0, 1, ROWS - 1, ROWS, 3 * ROWS])
def test_filled_and_converted(rows: int) -> None:
    ones = buffers.filled(rows, np.uint8, 1)
    assert len(ones) == rows
    assert ones.all()
    narrow = buffers.converted(np.arange(rows, dtype=np.int64), np.int32)
    assert narrow.dtype == np.int32
    assert (narrow == np.arange(rows)).all()
    assert not buffers.frozen(narrow).flags.writeable
    assert narrow.flags.writeable
