"""Rows of the table of kernels: hashes."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels import hashing
from checkrow_kernels import reference_hashing as reference
from checkrow_kernels.examples import ints, texts, valid
from checkrow_kernels.kernel_info import KernelInfo


def _word(rng: np.random.Generator) -> Any:
    return rng.integers(0, 2**64, dtype=np.uint64)


HASHING = (
    KernelInfo(
        name="hash_int64", function=hashing.hash_int64, reference=reference.hash_int64, cost="O(rows)",
        source="MurmurHash3 finaliser, A. Appleby",
        example=lambda r, n: (ints(r, n), valid(r, n), True, np.arange(n, dtype=np.uint64), False),
    ),
    KernelInfo(
        name="hash_strings", function=hashing.hash_strings, reference=reference.hash_strings, cost="O(bytes)",
        source="FNV-1a over 8-byte words with the MurmurHash3 finaliser",
        example=lambda r, n: (*texts(r, n), valid(r, n), True, np.zeros(n, np.uint64), True),
    ),
    KernelInfo(
        name="mix64", function=hashing.mix64, reference=reference.mix64, cost="O(1)",
        source="MurmurHash3 finaliser, A. Appleby",
        example=lambda r, _: (_word(r),),
    ),
    KernelInfo(
        name="combine", function=hashing.combine, reference=reference.combine, cost="O(1)",
        example=lambda r, _: (_word(r), _word(r)),
    ),
    KernelInfo(
        name="float_bits", function=hashing.float_bits, reference=reference.float_bits, cost="O(1)",
        example=lambda r, n: (r.choice([0.0, -0.0, np.nan, -np.inf, 1.5, -n]),),
    ),
    KernelInfo(
        name="hash_bytes", function=hashing.hash_bytes, reference=reference.hash_bytes, cost="O(bytes)",
        source="FNV-1a over 8-byte words with the MurmurHash3 finaliser",
        example=lambda r, n: (r.integers(0, 256, n + 3).astype(np.uint8), 2, n + 3),
    ),
)  # fmt: skip
