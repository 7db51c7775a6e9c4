"""The configuration: a TOML file and the environment, as validated, frozen models.

``model`` holds every key with its default and bounds; ``layers`` says where a value came from,
``problems`` makes sentences of what is wrong, ``values`` and ``fields`` read durations, sizes and
addresses, ``show`` prints what is in force.
"""

from __future__ import annotations

from hlsorigin.settings.model import (
    AppSettings,
    HlsSettings,
    PublishSettings,
    Settings,
    StoreSettings,
    load_settings,
)

__all__ = [
    "AppSettings",
    "HlsSettings",
    "PublishSettings",
    "Settings",
    "StoreSettings",
    "load_settings",
]
