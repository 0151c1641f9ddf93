"""Partition values as directory names, both ways: `key=value`, percent-encoded byte by byte."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from checkrow.errors import ConfigError

NULL = "__HIVE_DEFAULT_PARTITION__"
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_LIMIT_BYTES = 255


def partition_path(values: dict[str, str | None]) -> str:
    """Returns the directories of an output partition.

    Raises
    ------
    ConfigError
        If an encoded name exceeds what file systems take.

    Examples
    --------
    >>> partition_path({"month": "1995-03-01", "kind": "a/b"})
    'month=1995-03-01/kind=a%2Fb'
    """
    segments = [f"{_encode(k)}={NULL if v is None else _encode(v)}" for k, v in values.items()]
    for segment in segments:
        if len(segment) > _LIMIT_BYTES:
            raise ConfigError(
                f"the partition directory {segment[:60]!r}... has {len(segment)} bytes; {_LIMIT_BYTES} are allowed"
            )
    return "/".join(segments)


def _encode(text: str) -> str:
    if text == NULL:
        return "%5F" + text[1:]  # the text that spells null is not null
    return "".join(chr(b) if b in _SAFE else f"%{b:02X}" for b in text.encode())


def parse_partition_path(path: str) -> dict[str, str | None]:
    """Returns the partition values in the directories of a relative file path.

    Examples
    --------
    >>> parse_partition_path("kind=a%2Fb/part-0.parquet")
    {'kind': 'a/b'}
    """
    values: dict[str, str | None] = {}
    for segment in path.split("/")[:-1]:
        key, sign, value = segment.partition("=")
        if sign:
            text = unquote_to_bytes(value).decode("utf-8", errors="surrogateescape")
            values[unquote_to_bytes(key).decode("utf-8", errors="surrogateescape")] = None if value == NULL else text
    return values
