"""Kinds of values that keys have: bounded numbers with their notations, addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import core_schema

from hlsorigin.settings.values import (
    ListenAddress,
    format_duration,
    format_size,
    parse_count,
    parse_duration_s,
    parse_size_bytes,
)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number with a notation of its own and bounds that its error message names."""

    #: Raises ValueError.
    parse: Callable[[object], float]
    format: Callable[[Any], str]
    low: float
    high: float

    def check(self, value: object) -> float:
        """Read a value. Raises ValueError."""
        number = self.parse(value)
        if not self.low <= number <= self.high:
            raise ValueError(
                f"{self.format(number)} is out of range: "
                f"allowed is {self.format(self.low)} to {self.format(self.high)}"
            )
        return number

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))


def duration(low_s: float, high_s: float) -> Bounded:
    """Seconds, from ``"500ms"``, ``"2s"``, ... or a number."""
    return Bounded(parse_duration_s, format_duration, low_s, high_s)


def size(low_bytes: int, high_bytes: int) -> Bounded:
    """Bytes, from ``"64MiB"``, ... or a number."""
    return Bounded(parse_size_bytes, format_size, low_bytes, high_bytes)


def count(low: int, high: int) -> Bounded:
    """A whole number."""
    return Bounded(parse_count, str, low, high)


def _parse_listen(value: object) -> ListenAddress:
    if isinstance(value, ListenAddress):
        return value
    if not isinstance(value, str):
        raise ValueError('must be an address in quotes, like "0.0.0.0:1935"')
    return ListenAddress.parse(value)


def _parse_optional_listen(value: object) -> ListenAddress | None:
    return None if value is None or value == "" else _parse_listen(value)


Listen: TypeAlias = Annotated[ListenAddress, BeforeValidator(_parse_listen)]
OptionalListen: TypeAlias = Annotated[ListenAddress | None, BeforeValidator(_parse_optional_listen)]
