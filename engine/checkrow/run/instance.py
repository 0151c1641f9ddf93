"""Who a run is: the instance that makes a commit unique, independent of any clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from checkrow.storage.control import canonical


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A job with its identifying parameters, an ad-hoc write with a key, or (with a random key) one call."""

    job: str
    parameters: Mapping[str, Any] = msgspec.field(default_factory=dict)
    key: str = ""
    file: str = ""
    is_job: bool = False

    def identity(self, dataset: str) -> str:
        """Returns the instance id within a dataset."""
        return _hash([dataset, self.job, self.key, dict(self.parameters)])


def token_of(instance: str, generation: int, part: int = 0) -> str:
    """Returns the token of one generation and part of an instance: it enters the log at most once."""
    return _hash([instance, generation, part])


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:32]
