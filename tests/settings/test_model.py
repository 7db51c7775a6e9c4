"""Configuration: precedence, notations, and every sentence an operator can meet."""

from __future__ import annotations

import contextlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from hlsorigin.errors import SettingsError
from hlsorigin.settings.layers import KeyTree, Layers
from hlsorigin.settings.model import (
    HlsSettings,
    ListenAddress,
    Settings,
    key_tree,
    load_settings,
)
from hlsorigin.settings.problems import describe_problems
from hlsorigin.settings.show import effective_values
from hlsorigin.settings.values import (
    format_duration,
    format_size,
    parse_count,
    parse_duration_s,
    parse_size_bytes,
)

EXAMPLE = Path(__file__).parents[2] / "conf" / "hlsorigin.toml"


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ or {})


def complaints(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Give the lines of the error, without the folder."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environ)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


class TestDurations:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("2s", 2.0),
            ("500ms", 0.5),
            ("1m", 60.0),
            ("1h", 3600.0),
            ("1.5s", 1.5),
            ("2 s", 2.0),
            ("2.5", 2.5),
            (2, 2.0),
            (0.25, 0.25),
            ("0s", 0.0),
        ],
    )
    def test_notations(self, value: object, seconds: float) -> None:
        assert parse_duration_s(value) == seconds

    @pytest.mark.parametrize(
        "value",
        ["", "s", "-1s", "2x", "2S", "1m30s", "١s", True, -1, float("nan"), float("inf"), None, [],
         "9" * 400, "1e3"],
    )  # fmt: skip
    def test_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match='is not a duration: write "500ms", "2s", "1m", "1h"'):
            parse_duration_s(value)

    @given(st.integers(0, 10**12))
    def test_milliseconds_round_trip(self, milliseconds: int) -> None:
        seconds = milliseconds / 1000
        assert parse_duration_s(format_duration(seconds)) == seconds

    @given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h"]))
    def test_text_round_trip(self, amount: int, unit: str) -> None:
        seconds = parse_duration_s(f"{amount}{unit}")
        assert parse_duration_s(format_duration(seconds)) == seconds


class TestSizes:
    @pytest.mark.parametrize(
        ("value", "size_bytes"),
        [
            ("64MiB", 67_108_864),
            ("1GiB", 1_073_741_824),
            ("10MB", 10_000_000),
            ("1.5KiB", 1536),
            ("4096", 4096),
            (4096, 4096),
            ("3 kB", 3000),
            ("7B", 7),
        ],
    )
    def test_notations(self, value: object, size_bytes: int) -> None:
        assert parse_size_bytes(value) == size_bytes

    @pytest.mark.parametrize("value", ["", "MiB", "-1", "1XB", True, -1, 1.5, None, "1e6", "²"])
    def test_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match='is not a size: write "64MiB", "1GiB", "10MB" or'):
            parse_size_bytes(value)

    @given(st.integers(0, 2**50))
    def test_round_trip(self, size_bytes: int) -> None:
        assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none())
def test_parsers_raise_only_value_error(value: object) -> None:
    for parse in (parse_duration_s, parse_size_bytes, parse_count):
        with contextlib.suppress(ValueError):
            assert parse(value) >= 0 or parse is parse_count


class TestListenAddress:
    @pytest.mark.parametrize(
        ("text", "host", "port", "is_loopback"),
        [
            ("0.0.0.0:1935", "0.0.0.0", 1935, False),
            ("127.0.0.1:0", "127.0.0.1", 0, True),
            ("[::]:8080", "::", 8080, False),
            ("[::1]:8080", "::1", 8080, True),
            (":8080", "", 8080, False),
            ("localhost:8080", "localhost", 8080, True),
            ("origin.example:65535", "origin.example", 65535, False),
        ],
    )
    def test_forms(self, text: str, host: str, port: int, is_loopback: bool) -> None:
        address = ListenAddress.parse(text)
        assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
        assert str(address) == text

    @pytest.mark.parametrize(
        "text",
        ["", "1935", "a:b", "::1:80", "[x]:80", "[::1]", "h:65536", "h:-1", "h h:80", "h:",
         "[1.2.3.4]:1"],
    )  # fmt: skip
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not an address: write .* from 0 to 65535"):
            ListenAddress.parse(text)

    @given(st.ip_addresses(), st.integers(0, 65535))
    def test_round_trip(self, ip: Any, port: int) -> None:
        address = ListenAddress(str(ip), port)
        assert ListenAddress.parse(str(address)) == address


class TestPrecedence:
    def test_defaults(self) -> None:
        assert load_settings(None, {}) == Settings()
        assert Settings().admin.listen == ListenAddress("127.0.0.1", 8081)

    def test_environment_over_file_over_default(self, tmp_path: Path) -> None:
        text = '[hls]\nsegment_duration = "4s"\nplaylist_segments = 9\n'
        settings = load(tmp_path, text, {"HLSORIGIN_HLS__SEGMENT_DURATION": "6s", "HOME": "/"})
        assert settings.hls.segment_duration == 6.0
        assert settings.hls.playlist_segments == 9
        assert settings.hls.track_wait == 1.0

    def test_value_from_a_file(self, tmp_path: Path) -> None:
        secret = tmp_path / "tokens"
        secret.write_text("first-token\nsecond.token\n")
        settings = load_settings(None, {"HLSORIGIN_ADMIN__TOKENS_FILE": str(secret)})
        tokens = [token.get_secret_value() for token in settings.admin.tokens]
        assert tokens == ["first-token", "second.token"]

    def test_list_between_commas(self) -> None:
        settings = load_settings(None, {"HLSORIGIN_ADMIN__TOKENS": "a1, b2"})
        assert [token.get_secret_value() for token in settings.admin.tokens] == ["a1", "b2"]

    def test_variant_suffixes(self, tmp_path: Path) -> None:
        text = '[apps.live.hls]\nvariant_suffixes = ["_1080", "_720"]\n'
        settings = load(tmp_path, text)
        assert settings.for_app("live").hls.variant_suffixes == ("_1080", "_720")
        assert settings.hls.variant_suffixes == ()
        settings = load_settings(None, {"HLSORIGIN_HLS__VARIANT_SUFFIXES": "_hd,-sd"})
        assert settings.hls.variant_suffixes == ("_hd", "-sd")

    def test_environment_is_text(self) -> None:
        settings = load_settings(
            None,
            {
                "HLSORIGIN_HTTP__PLAYER_PAGE": "false",
                "HLSORIGIN_RTMP__MAX_CONNECTIONS": "12",
                "HLSORIGIN_RTMP__CHUNK_BYTES": "8KiB",
                "HLSORIGIN_ADMIN__LISTEN": "",
            },
        )
        assert settings.http.player_page is False
        assert settings.rtmp.max_connections == 12
        assert settings.rtmp.chunk_bytes == 8192
        assert settings.admin.listen is None

    def test_the_process_environment_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HLSORIGIN_HLS__PLAYLIST_SEGMENTS", "9")
        monkeypatch.setenv("HLS", "{}")
        assert Settings().hls.playlist_segments == 7

    def test_origins(self, tmp_path: Path) -> None:
        path = tmp_path / "x.toml"
        path.write_text('[hls]\nplaylist_segments = 9\n[apps.a.hls]\ntrack_wait = "3s"\n')
        shown = effective_values(path, {"HLSORIGIN_ADMIN__TOKENS": "s3cr3t,other"})
        values = {value.key: (value.value, value.origin) for value in shown}
        assert values["hls.playlist_segments"] == ("9", str(path))
        assert values["hls.segment_duration"] == ('"2s"', "default")
        assert values["admin.tokens"] == ('["***", "***"]', "HLSORIGIN_ADMIN__TOKENS")
        assert values["apps.a.hls.track_wait"] == ('"3s"', str(path))
        assert values["rtmp.listen"] == ('"0.0.0.0:1935"', "default")
        assert "apps.a.hls.container" not in values
        assert "s3cr3t" not in str(shown)
        assert values["hls.variant_suffixes"] == ("[]", "default")


class TestApps:
    def test_inherit_and_override(self, tmp_path: Path) -> None:
        settings = load(
            tmp_path,
            '[hls]\nsegment_duration = "4s"\n'
            "[apps.Events.hls]\nplaylist_segments = 5\n"
            '[apps.Events.publish]\non_duplicate = "reject"\n',
        )
        events, other = settings.for_app("Events"), settings.for_app("live")
        assert (events.hls.segment_duration, events.hls.playlist_segments) == (4.0, 5)
        assert (other.hls.segment_duration, other.hls.playlist_segments) == (4.0, 7)
        assert (events.publish.on_duplicate, other.publish.on_duplicate) == ("reject", "takeover")
        assert events.publish.reconnect_grace == 30.0

    def test_environment_finds_the_app_of_the_file(self, tmp_path: Path) -> None:
        environ = {
            "HLSORIGIN_APPS__EVENTS__HLS__PLAYLIST_SEGMENTS": "6",
            "HLSORIGIN_APPS__LIVE__HLS__PLAYLIST_SEGMENTS": "8",
        }
        settings = load(tmp_path, "[apps.Events.hls]\nplaylist_segments = 5\n", environ)
        assert settings.for_app("Events").hls.playlist_segments == 6
        assert settings.for_app("live").hls.playlist_segments == 8
        assert set(settings.apps) == {"Events", "live"}

    def test_built_in_code(self) -> None:
        values: dict[str, Any] = {"apps": {"a": {"hls": {"playlist_segments": 3}}}}
        settings = Settings(hls=HlsSettings(segment_duration=1), **values)
        assert settings.for_app("a").hls == HlsSettings(segment_duration=1, playlist_segments=3)

    def test_a_global_mistake_is_told_once(self, tmp_path: Path) -> None:
        text = '[hls]\nsegment_duration = "30s"\n[apps.a.hls]\nplaylist_segments = 5\n'
        assert complaints(tmp_path, text) == [
            "x.toml: hls.max_segment_duration: 20s is less than segment_duration (30s)"
        ]


MISTAKES = [
    (
        '[hls]\nsegmnt_duration = "2s"',
        "hls.segmnt_duration: unknown key; did you mean segment_duration?",
    ),
    ("[log]\nzzz = 1", "log.zzz: unknown key; allowed here: format, level"),
    ("[htp]", "htp: unknown key; did you mean http?"),
    (
        "[hls]\nsegment_duration = 0.2",
        "hls.segment_duration: 200ms is out of range: allowed is 500ms to 1m",
    ),
    (
        '[hls]\nsegment_duration = "fast"',
        'hls.segment_duration: "fast" is not a duration: write "500ms", "2s", "1m", '
        '"1h" or a number of seconds',
    ),
    (
        "[hls]\nplaylist_segments = 2",
        "hls.playlist_segments: 2 is out of range: allowed is 3 to 1000",
    ),
    ("[hls]\nplaylist_segments = 3.5", "hls.playlist_segments: 3.5 is not a whole number"),
    ('[hls]\ncontainer = "mkv"', 'hls.container: must be "mpegts", "fmp4" or "auto"'),
    (
        '[hls]\nlow_latency = true\npart_duration = "3s"',
        "hls.part_duration: 3s is more than segment_duration (2s)",
    ),
    (
        '[hls]\nmax_segment_duration = "1s"',
        "hls.max_segment_duration: 1s is less than segment_duration (2s)",
    ),
    (
        '[rtmp]\nmax_buffer_bytes = "1MiB"',
        "rtmp.max_buffer_bytes: 1MiB is less than max_message_bytes (8MiB)",
    ),
    ("[rtmp]\nchunk_bytes = 64", "rtmp.chunk_bytes: 64 is out of range: allowed is 128 to 64KiB"),
    ("[rtmp]\nlisten = 1935", 'rtmp.listen: must be an address in quotes, like "0.0.0.0:1935"'),
    (
        '[http]\nlisten = "8080"',
        'http.listen: "8080" is not an address: write "0.0.0.0:1935", "[::]:1935" or '
        '":1935", with a port from 0 to 65535',
    ),
    ('[http]\nplayer_page = "maybe"', "http.player_page: must be true or false"),
    ("[http]\nhls_js_path = 1", "http.hls_js_path: must be a string in quotes"),
    (
        '[admin]\nlisten = "0.0.0.0:8081"',
        "admin.listen: 0.0.0.0:8081 can be reached from other machines and admin.tokens "
        "is empty: set a token, or listen on 127.0.0.1",
    ),
    (
        '[admin]\ntokens = "a b\\u00e9"',
        "admin.tokens: a token has a character that a header can't carry: allowed are "
        "letters, digits and - . _ ~ + / =",
    ),
    ('[admin]\ntokens = ["x", ""]', "admin.tokens: a token is empty"),
    ("[admin]\ntokens = [1]", "admin.tokens: must be a list of strings"),
    ("[hls]\nvariant_suffixes = 5", "hls.variant_suffixes: must be a list of strings"),
    (
        '[hls]\nvariant_suffixes = ["_a"]',
        "hls.variant_suffixes: one suffix alone makes no group: give two or more",
    ),
    (
        '[hls]\nvariant_suffixes = ["_a", "_a"]',
        "hls.variant_suffixes: a suffix is there twice",
    ),
    ('[store]\nkind = "s3"', 'store.kind: must be "memory" or "disk"'),
    ('[store]\npath = ""', "store.path: must be the path of a folder"),
    (
        '[store]\nmax_bytes = "lots"',
        'store.max_bytes: "lots" is not a size: write "64MiB", "1GiB", "10MB" or a number of bytes',
    ),
    ('[store]\nfsync = "always"', 'store.fsync: must be "never", "data" or "full"'),
    ('[publish]\non_duplicate = "both"', 'publish.on_duplicate: must be "takeover" or "reject"'),
    (
        "[publish]\nidle_timeout = true",
        'publish.idle_timeout: true is not a duration: write "500ms", "2s", "1m", "1h" '
        "or a number of seconds",
    ),
    ('[log]\nlevel = "loud"', 'log.level: must be "debug", "info", "warning" or "error"'),
    ("hls = 3", "hls: must be a table"),
    ("apps = 3", "apps: must be a table"),
    ("[apps]\nlive = 3", "apps.live: must be a table"),
    ("[apps.t.hls]", "apps.t: app name 't' is reserved"),
    (
        "[apps.'a b'.hls]",
        "apps.a b: app name 'a b' is not allowed: 1 to 128 of A-Z a-z 0-9 _ . -, "
        "starting with a letter or digit",
    ),
    ("[apps.live.hsl]", "apps.live.hsl: unknown key; did you mean hls?"),
    (
        "[apps.live.hls]\nplaylist_segment = 3",
        "apps.live.hls.playlist_segment: unknown key; did you mean playlist_segments?",
    ),
    (
        '[apps.live.hls]\nsegment_duration = "90s"',
        "apps.live.hls.segment_duration: 90s is out of range: allowed is 500ms to 1m",
    ),
]


class TestMistakes:
    @pytest.mark.parametrize(("text", "line"), MISTAKES, ids=[line for _, line in MISTAKES])
    def test_in_the_file(self, tmp_path: Path, text: str, line: str) -> None:
        assert complaints(tmp_path, text) == [f"x.toml: {line}"]

    def test_all_at_once(self, tmp_path: Path) -> None:
        text = "[hls]\nplaylist_segments = 1\ntrack_wait = -1\n[log]\nformat = 1\n"
        environ = {"HLSORIGIN_HTTP__LISTN": "1", "HLSORIGIN_RTMP__LISTEN": "nowhere"}
        assert [line.split(": ")[:2] for line in complaints(tmp_path, text, environ)] == [
            ["HLSORIGIN_HTTP__LISTN", "unknown variable; did you mean HLSORIGIN_HTTP__LISTEN?"],
            ["HLSORIGIN_RTMP__LISTEN", "rtmp.listen"],
            ["x.toml", "hls.playlist_segments"],
            ["x.toml", "hls.track_wait"],
            ["x.toml", "log.format"],
        ]

    def test_not_toml(self, tmp_path: Path) -> None:
        (line,) = complaints(tmp_path, "[hls]\nsegment_duration = \n")
        assert re.fullmatch(r"x\.toml: is not valid TOML: .*\(at line 2, column \d+\)", line)

    def test_not_readable(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="none.toml: can't be read: No such file"):
            load_settings(tmp_path / "none.toml", {})
        with pytest.raises(SettingsError, match="can't be read: is a directory"):
            load_settings(tmp_path, {})
        (tmp_path / "x.toml").write_bytes(b"# \xff\n")
        with pytest.raises(SettingsError, match=r"x\.toml: is not UTF-8 text \(byte 2\)"):
            load_settings(tmp_path / "x.toml", {})

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("HLSORIGIN_HTTP_LISTEN", "did you mean HLSORIGIN_HTTP__LISTEN?"),
            ("HLSORIGIN_HLS__SEGMNT_DURATION", "did you mean HLSORIGIN_HLS__SEGMENT_DURATION?"),
            ("HLSORIGIN_HLS", None),
            ("HLSORIGIN_", None),
            ("HLSORIGIN_APPS__A", None),
            ("HLSORIGIN_HTTP__LISTEN__X", "did you mean HLSORIGIN_HTTP__LISTEN?"),
        ],
    )
    def test_unknown_variable(self, variable: str, hint: str | None) -> None:
        with pytest.raises(SettingsError) as caught:
            load_settings(None, {variable: "1"})
        other = "sections and keys are joined by two underscores, as in HLSORIGIN_HTTP__LISTEN"
        assert str(caught.value) == f"{variable}: unknown variable; {hint or other}"

    def test_variables_of_others_are_left_alone(self) -> None:
        """A Kubernetes service called hlsorigin sets these in every pod of its namespace."""
        environ = {
            "HLSORIGIN_SERVICE_HOST": "10.0.0.1",
            "HLSORIGIN_SERVICE_PORT": "8080",
            "HLSORIGIN_SERVICE_PORT_HTTP": "8080",
            "HLSORIGIN_PORT": "tcp://10.0.0.1:8080",
            "HLSORIGIN_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
        assert load_settings(None, environ) == Settings()

    def test_value_file_that_can_not_be_read(self, tmp_path: Path) -> None:
        large, binary = tmp_path / "large", tmp_path / "binary"
        large.write_bytes(b"a" * 65_537)
        binary.write_bytes(b"\xff\xfe")
        for path, why in (
            (tmp_path / "none", "can't be read: No such file or directory"),
            (large, "is larger than 65536 bytes"),
            (binary, "is not UTF-8 text"),
        ):
            with pytest.raises(SettingsError) as caught:
                load_settings(None, {"HLSORIGIN_ADMIN__TOKENS_FILE": str(path)})
            assert str(caught.value) == f"HLSORIGIN_ADMIN__TOKENS_FILE: {path} {why}"

    def test_variable_and_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "listen").write_text(":1")
        environ = {
            "HLSORIGIN_HTTP__LISTEN": ":2",
            "HLSORIGIN_HTTP__LISTEN_FILE": str(tmp_path / "listen"),
        }
        with pytest.raises(SettingsError) as caught:
            load_settings(None, environ)
        assert str(caught.value) == (
            "HLSORIGIN_HTTP__LISTEN_FILE: http.listen: HLSORIGIN_HTTP__LISTEN sets it too; "
            "keep one of them"
        )

    def test_secrets_are_not_told(self, tmp_path: Path) -> None:
        told = complaints(tmp_path, '[admin]\ntokens = ["s3cr3t\\u00e9", "s3cr3t"]\nfoo = "s3cr3t"')
        assert len(told) == 2
        assert "s3cr3t" not in "".join(told)
        settings = load(tmp_path, '[admin]\ntokens = ["s3cr3t"]')
        assert "s3cr3t" not in repr(settings)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().hls.segment_duration = 3.0
    with pytest.raises(ValidationError):
        Settings().hls = HlsSettings()


@given(
    st.recursive(
        st.text(max_size=5) | st.integers() | st.booleans() | st.floats() | st.just([]),
        lambda below: st.dictionaries(
            st.sampled_from(["hls", "apps", "t", "live", "listen", "tokens", "rtmp", "x"]), below
        ),
        max_leaves=12,
    )
)
def test_any_document_loads_or_is_a_settings_error(document: Any) -> None:
    """Whatever TOML gives, an operator sees sentences and never a traceback."""
    try:
        Settings(**{"hls": document, "apps": document, "admin": document})
    except ValidationError as err:
        assert describe_problems(err, Layers(), key_tree(), "place")


class TestExampleFile:
    """conf/hlsorigin.toml is the reference an operator copies from."""

    def test_says_the_defaults(self) -> None:
        lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
        bare = "\n".join(line for line in lines if not line.startswith("#"))
        assert "#" not in bare
        written = tomllib.loads(bare)
        assert Settings(**written) == Settings()
        assert load_settings(EXAMPLE, {}) == Settings()

    def test_has_every_key(self) -> None:
        written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
        for section, keys in key_tree().items():
            if section != "apps":
                assert keys is not None
                assert set(written[section]) == set(keys), section

    def test_every_key_has_a_comment_above(self) -> None:
        lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
        for before, line in zip(lines, lines[1:], strict=False):
            if re.match(r"[a-z_]+ = ", line):
                assert before.startswith("# "), line

    def test_the_commented_app_is_valid(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        app = text[text.index("# [apps.events.hls]") :]
        settings = Settings(**tomllib.loads(re.sub(r"^# ", "", app, flags=re.MULTILINE)))
        assert settings.for_app("events").hls.segment_duration == 4.0


def test_key_tree_names_sections_of_apps() -> None:
    tree: KeyTree | None = key_tree()["apps"]
    assert tree is not None
    below = tree["*"]
    assert below is not None
    assert set(below) == {"hls", "publish"}


def test_two_listeners_on_one_address_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[http]\nlisten = "0.0.0.0:1935"')
    with pytest.raises(
        SettingsError, match=r"http\.listen: 0\.0\.0\.0:1935 is rtmp\.listen already"
    ):
        load_settings(file, {})
