"""Configuration: every key, its default, its bounds; ``load_settings`` reads them.

Precedence: environment (``HLSORIGIN_HTTP__LISTEN``, or ``HLSORIGIN_HTTP__LISTEN_FILE`` for a value
kept in a file), then the TOML file, then the defaults below. Durations are seconds and sizes are
bytes once they are here. ``conf/hlsorigin.toml`` tells operators when to change what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hlsorigin.errors import SettingsError
from hlsorigin.hls.naming import why_name_is_invalid
from hlsorigin.settings.fields import Listen, OptionalListen, count, duration, size
from hlsorigin.settings.layers import KeyTree, Layers, read_layers
from hlsorigin.settings.planned import (
    AuthSettings,
    HooksSettings,
    NoList,
    OriginPullSettings,
    RefererSettings,
)
from hlsorigin.settings.problems import describe_problems, key_error
from hlsorigin.settings.values import ListenAddress, format_duration, format_size

__all__ = [
    "AdminSettings",
    "AppSettings",
    "HlsSettings",
    "HttpSettings",
    "ListenAddress",
    "LogSettings",
    "PublishSettings",
    "RtmpSettings",
    "Settings",
    "StoreSettings",
    "key_tree",
    "load_settings",
    "load_with_layers",
]

_MIB: Final = 2**20
_GIB: Final = 2**30


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RtmpSettings(_Section):
    """The listener encoders push to."""

    listen: Listen = ListenAddress("0.0.0.0", 1935)
    #: Open connections, publishing or not.
    max_connections: Annotated[int, count(1, 1_000_000)] = 1000
    #: Seconds from TCP accept until a publish starts.
    handshake_timeout: Annotated[float, duration(0.1, 600)] = 10.0
    #: One message: the largest access unit that gets in.
    max_message_bytes: Annotated[int, size(65_536, 256 * _MIB)] = 8 * _MIB
    #: All of one connection's unfinished messages together.
    max_buffer_bytes: Annotated[int, size(65_536, _GIB)] = 16 * _MIB
    #: Largest chunk size an encoder may set.
    max_chunk_bytes: Annotated[int, size(65_536, 2**31 - 1)] = 16 * _MIB
    #: Chunk size of what we send.
    chunk_bytes: Annotated[int, size(128, 65_536)] = 4096
    #: Window acknowledgement size we announce.
    window_bytes: Annotated[int, size(10_000, 2**31 - 1)] = 2_500_000

    @model_validator(mode="after")
    def _buffer_holds_a_message(self) -> Self:
        if self.max_buffer_bytes < self.max_message_bytes:
            raise key_error(
                "max_buffer_bytes",
                f"{format_size(self.max_buffer_bytes)} is less than max_message_bytes "
                f"({format_size(self.max_message_bytes)})",
            )
        return self


class HttpSettings(_Section):
    """The public listener: playlists, segments, player page."""

    listen: Listen = ListenAddress("0.0.0.0", 8080)
    #: Seconds an idle connection is kept.
    keep_alive: Annotated[float, duration(1, 3600)] = 75.0
    #: Serve ``GET /{app}/{stream}/``.
    player_page: bool = True
    #: A local hls.min.js for the player page; empty: the pinned public address.
    hls_js_path: str = ""
    max_connections: Annotated[int, count(1, 1_000_000)] = 10_000
    #: PEM files: the chain, the server's own certificate first, and its key. Empty: plain HTTP.
    tls_certificate: str = ""
    tls_key: str = ""
    trusted_proxies: NoList = ()

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if bool(self.tls_certificate) != bool(self.tls_key):
            missing, other = "tls_key", "tls_certificate"
            if self.tls_key:
                missing, other = other, missing
            raise key_error(missing, f"is missing, and {other} is set: set both or none")
        return self


class AdminSettings(_Section):
    """The operators' listener: health, metrics, API."""

    #: None (written ``""``) switches it off.
    listen: OptionalListen = ListenAddress("127.0.0.1", 8081)
    #: Bearer tokens (RFC 6750 2.1), any of which opens the API.
    tokens: tuple[SecretStr, ...] = ()

    @field_validator("tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        # From the environment and from files it is text: one token a line, or between commas.
        if isinstance(value, str):
            return tuple(value.replace(",", " ").split())
        if not isinstance(value, list | tuple) or not all(
            isinstance(token, str | SecretStr) for token in value
        ):
            raise ValueError("must be a list of strings")
        return tuple(value)

    @field_validator("tokens")
    @classmethod
    def _check_tokens(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for token in tokens:
            secret = token.get_secret_value()
            if not secret:
                raise ValueError("a token is empty")
            if not secret.isascii() or not secret.translate(_TOKEN_MARKS).isalnum():
                raise ValueError(
                    "a token has a character that a header can't carry: "
                    "allowed are letters, digits and - . _ ~ + / ="
                )
        return tokens

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if self.listen is not None and not self.listen.is_loopback and not self.tokens:
            raise key_error(
                "listen",
                f"{self.listen} can be reached from other machines and admin.tokens is empty: "
                "set a token, or listen on 127.0.0.1",
            )
        return self


# Every mark counts as a letter, so that isalnum() answers for the whole alphabet.
_TOKEN_MARKS: Final = str.maketrans("-._~+/=", "xxxxxxx")


_SUFFIX_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def _check_suffix(suffix: str) -> str:
    if not _SUFFIX_PATTERN.fullmatch(suffix):
        raise ValueError(f"{suffix[:40]!r} is not allowed: 1 to 32 of A-Z a-z 0-9 _ . -")
    return suffix


VariantSuffix: TypeAlias = Annotated[str, AfterValidator(_check_suffix)]


class HlsSettings(_Section):
    """How a stream is cut and listed."""

    #: "auto": MPEG-TS where it carries every track, else fragmented MP4.
    container: Literal["mpegts", "fmp4", "auto"] = "mpegts"
    #: Whether audio shares a rendition with video; "auto": not where there are several of a kind.
    track_layout: Literal["auto", "muxed", "separate"] = "auto"
    #: Streams whose names differ only in these endings are variants of one entry; the main first.
    variant_suffixes: tuple[VariantSuffix, ...] = ()
    #: LL-HLS: parts of segments are listed as they come.
    low_latency: bool = False
    #: Seconds.
    part_duration: Annotated[float, duration(0.1, 5)] = 0.5
    #: Seconds; cuts happen at the first keyframe from there on.
    segment_duration: Annotated[float, duration(0.5, 60)] = 2.0
    playlist_segments: Annotated[int, count(3, 1000)] = 7
    #: Seconds; an open segment is cut here at the latest, keyframe or not.
    max_segment_duration: Annotated[float, duration(0.5, 300)] = 20.0
    #: An open segment is cut here at the latest, keyframe or not.
    max_segment_bytes: Annotated[int, size(_MIB, 4 * _GIB)] = 64 * _MIB
    #: Seconds a new stream waits for its second track.
    track_wait: Annotated[float, duration(0, 60)] = 1.0

    @field_validator("variant_suffixes", mode="before")
    @classmethod
    def _split_suffixes(cls, value: object) -> object:
        # From the environment it is text: between commas.
        if isinstance(value, str):
            return tuple(value.replace(",", " ").split())
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ValueError("must be a list of strings")
        return value

    @field_validator("variant_suffixes")
    @classmethod
    def _suffixes_differ(cls, suffixes: tuple[str, ...]) -> tuple[str, ...]:
        if len(suffixes) == 1:
            raise ValueError("one suffix alone makes no group: give two or more")
        if len(set(suffixes)) < len(suffixes):
            raise ValueError("a suffix is there twice")
        return suffixes

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.low_latency and self.part_duration > self.segment_duration:
            raise key_error(
                "part_duration",
                f"{format_duration(self.part_duration)} is more than segment_duration "
                f"({format_duration(self.segment_duration)})",
            )
        if self.max_segment_duration < self.segment_duration:
            raise key_error(
                "max_segment_duration",
                f"{format_duration(self.max_segment_duration)} is less than segment_duration "
                f"({format_duration(self.segment_duration)})",
            )
        return self


class StoreSettings(_Section):
    """Where segments are kept."""

    kind: Literal["memory", "disk"] = "memory"
    #: Root folder of kind "disk".
    path: Path = Path("/var/lib/hlsorigin")
    #: All streams together.
    max_bytes: Annotated[int, size(_MIB, 2**50)] = _GIB
    #: One stream.
    max_stream_bytes: Annotated[int, size(_MIB, 2**50)] = 256 * _MIB
    #: What a put waits for on disk: nothing, the file's data, file and folder.
    fsync: Literal["never", "data", "full"] = "never"
    #: Newest segments that kind "disk" keeps in memory as well.
    cache_bytes: Annotated[int, size(0, 2**40)] = 64 * _MIB

    @field_validator("path", mode="before")
    @classmethod
    def _check_path(cls, value: object) -> object:
        if value == "" or not isinstance(value, str | Path) or "\0" in str(value):
            raise ValueError("must be the path of a folder")
        return value


class PublishSettings(_Section):
    """Who holds a stream's name, and how long."""

    #: The second publisher of a name takes it over, or is refused.
    on_duplicate: Literal["takeover", "reject"] = "takeover"
    #: Seconds a stream stays live without its publisher.
    reconnect_grace: Annotated[float, duration(0, 3600)] = 30.0
    #: Seconds without media after which a publisher is disconnected.
    idle_timeout: Annotated[float, duration(0.1, 3600)] = 10.0
    #: Seconds an ended playlist stays.
    keep_ended: Annotated[float, duration(0, 86_400)] = 60.0


class LogSettings(_Section):
    """What is logged and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class AppSettings(_Section):
    """The settings of one app; what its table leaves out comes from the global sections."""

    hls: HlsSettings = HlsSettings()
    publish: PublishSettings = PublishSettings()


def _check_app_name(name: str) -> str:
    why = why_name_is_invalid(name, "stream")
    if why is not None:
        raise ValueError(why)
    return name


AppName: TypeAlias = Annotated[str, AfterValidator(_check_app_name)]


class Settings(BaseSettings):
    """All of it. ``Settings()`` is the defaults; it never reads the environment by itself."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rtmp: RtmpSettings = RtmpSettings()
    http: HttpSettings = HttpSettings()
    admin: AdminSettings = AdminSettings()
    hls: HlsSettings = HlsSettings()
    store: StoreSettings = StoreSettings()
    publish: PublishSettings = PublishSettings()
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()
    referer: RefererSettings = RefererSettings()
    origin_pull: OriginPullSettings = OriginPullSettings()
    hooks: HooksSettings = HooksSettings()
    #: By app name; use ``for_app``.
    apps: Mapping[AppName, AppSettings] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is passed in: the sources that are built in ignore unknown variables."""
        return (init_settings,)

    @model_validator(mode="after")
    def _listeners_differ(self) -> Self:
        seen: dict[ListenAddress, str] = {}
        listeners = (("rtmp", self.rtmp), ("http", self.http), ("admin", self.admin))
        for section, settings in listeners:
            listen = settings.listen
            if listen is None or not listen.port:
                continue
            if (other := seen.setdefault(listen, section)) != section:
                raise key_error(
                    f"{section}.listen", f"{listen} is {other}.listen already: choose another port"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _inherit_into_apps(cls, values: dict[str, Any]) -> dict[str, Any]:
        apps = values.get("apps")
        if not isinstance(apps, Mapping):
            return values
        return {
            **values,
            "apps": {name: _inherited(app, values) for name, app in apps.items()},
        }

    def for_app(self, name: str) -> AppSettings:
        """Give the settings of an app, which may have no table of its own."""
        return self.apps.get(name) or AppSettings(hls=self.hls, publish=self.publish)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the configuration.

    Args:
        path: the TOML file; None for defaults and environment only.
        environ: the environment, usually ``os.environ``.

    Raises:
        SettingsError: one line per problem, ``FILE: key.path: what is wrong, what is allowed``;
            for a value from the environment the variable stands in place of the file. Secrets
            never appear in it.
    """
    return load_with_layers(path, environ)[0]


def key_tree(model: type[BaseModel] = Settings) -> KeyTree:
    """Give all keys there are; ``"*"`` stands for the name of an app."""
    tree: dict[str, KeyTree | None] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "apps":
            tree[name] = {"*": key_tree(AppSettings)}
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            tree[name] = key_tree(kind)
        else:
            tree[name] = None
    return tree


def load_with_layers(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Layers]:
    """Read the configuration as ``load_settings`` does, and keep where each value came from."""
    tree = key_tree()
    layers = read_layers(Settings, tree, path, environ)
    problems = layers.problems
    settings = Settings()
    try:
        settings = Settings(**layers.values)
    except ValidationError as err:
        place = "configuration" if path is None else str(path)
        problems = [*problems, *describe_problems(err, layers, tree, place)]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings, layers


def _inherited(app: object, globals_: Mapping[str, Any]) -> object:
    """Lay an app's sections over the global ones, before anything is validated."""
    if not isinstance(app, Mapping):
        return app
    merged = dict(app)
    for section in AppSettings.model_fields:
        base = globals_.get(section, {})
        own = app.get(section, {})
        if isinstance(base, BaseModel):
            base = base.model_dump()
        if isinstance(base, Mapping) and isinstance(own, Mapping):
            merged[section] = {**base, **own}
    return merged
