"""Settings as they are in force, and where each value comes from: ``check-config --show``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from hlsorigin.settings.fields import Bounded
from hlsorigin.settings.layers import KeyPath, Layers
from hlsorigin.settings.model import AppSettings, Settings, load_with_layers
from hlsorigin.settings.values import parse_count


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One key as it is in force."""

    #: ``hls.segment_duration``.
    key: str
    #: As it would be written in the file; secrets are masked.
    value: str
    #: ``default``, the file, or the environment variable.
    origin: str


def effective_values(path: Path | None, environ: Mapping[str, str]) -> list[EffectiveValue]:
    """Give every key, its value and where it comes from. Raises SettingsError."""
    settings, layers = load_with_layers(path, environ)
    shown = []
    for name in Settings.model_fields:
        if name != "apps":
            shown += _section_values((name,), getattr(settings, name), layers)
    for name, app in settings.apps.items():
        for section in AppSettings.model_fields:
            path_of_section = ("apps", name, section)
            values = _section_values(path_of_section, getattr(app, section), layers)
            shown += [value for value in values if value.origin != "default"]
    return shown


def _section_values(path: KeyPath, section: BaseModel, layers: Layers) -> list[EffectiveValue]:
    return [
        EffectiveValue(
            ".".join((*path, name)),
            _notation(getattr(section, name), field.metadata),
            layers.origins.get((*path, name), "default"),
        )
        for name, field in type(section).model_fields.items()
    ]


def _notation(value: object, metadata: list[Any]) -> str:
    for mark in metadata:
        if isinstance(mark, Bounded):
            text = mark.format(value)
            return text if mark.parse is parse_count else f'"{text}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        shown = ("***" if isinstance(each, SecretStr) else each for each in value)
        return "[" + ", ".join(f'"{each}"' for each in shown) + "]"
    return f'"{"" if value is None else value}"'
