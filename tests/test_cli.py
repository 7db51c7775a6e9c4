"""The command line: exit codes and the sentences that come with them."""

from __future__ import annotations

import errno
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import hlsorigin
from hlsorigin.cli import main
from hlsorigin.errors import HlsOriginError, SettingsError, StoreError
from hlsorigin.healthcheck import check_health, health_url
from hlsorigin.net import bind_socket
from hlsorigin.settings import Settings
from hlsorigin.settings.values import ListenAddress
from hlsorigin.start_failure import why_not_started


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HLSORIGIN_HLS__PLAYLIST_SEGMENTS", "HLSORIGIN_ADMIN__LISTEN"):
        monkeypatch.delenv(name, raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"hlsorigin {hlsorigin.__version__}\n"


def test_python_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hlsorigin", "version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hlsorigin ")


def test_help_when_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = "".join(capsys.readouterr())
    for command in ("serve", "demo", "check-config", "push", "inspect", "healthcheck", "version"):
        assert command in shown


@pytest.mark.parametrize(
    "argv", [["nonsense"], ["push", "a"], ["push", "a", "b", "--rate", "-1"], ["serve", "--bogus"]]
)
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "Usage" in capsys.readouterr().err


class TestCheckConfig:
    def test_ok(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a.toml"
        path.write_text("[hls]\nplaylist_segments = 5\n")
        assert main(["check-config", "-c", str(path)]) == 0
        assert capsys.readouterr().out == f"{path}: ok\n"

    def test_defaults(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check-config"]) == 0
        assert capsys.readouterr().out == "defaults and environment: ok\n"

    def test_show(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "a.toml"
        path.write_text('[admin]\ntokens = ["s3cr3t"]\n')
        monkeypatch.setenv("HLSORIGIN_HLS__PLAYLIST_SEGMENTS", "9")
        assert main(["check-config", "-c", str(path), "--show"]) == 0
        out = capsys.readouterr().out
        assert "hls.playlist_segments = 9  # HLSORIGIN_HLS__PLAYLIST_SEGMENTS\n" in out
        assert f'admin.tokens = ["***"]  # {path}\n' in out
        assert 'hls.segment_duration = "2s"  # default\n' in out
        assert "s3cr3t" not in out

    def test_broken(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a.toml"
        path.write_text("[hls]\nplaylist_segments = 1\n")
        assert main(["check-config", "-c", str(path)]) == 78
        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"{path}: hls.playlist_segments: 1 is out of range: allowed is 3 to 1000\n"


class TestServe:
    @pytest.fixture
    def origin(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        module = ModuleType("hlsorigin.origin")
        monkeypatch.setitem(sys.modules, "hlsorigin.origin", module)
        monkeypatch.setattr("hlsorigin.log.configure_logging", lambda *args: None)
        return module

    def test_runs_with_the_settings(self, origin: ModuleType, tmp_path: Path) -> None:
        seen: list[Settings] = []

        async def run(settings: Settings) -> None:
            seen.append(settings)

        origin.__dict__["run"] = run
        path = tmp_path / "a.toml"
        path.write_text("[hls]\nplaylist_segments = 5\n")
        assert main(["serve", "-c", str(path)]) == 0
        assert seen[0].hls.playlist_segments == 5

    def test_wrong_configuration(
        self, origin: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        origin.__dict__["run"] = None
        assert main(["serve", "-c", str(tmp_path / "none.toml")]) == 78
        assert "none.toml: can't be read: No such file or directory" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("failure", "code", "sentence"),
        [
            (
                OSError(errno.EADDRINUSE, "0.0.0.0:1935: Address already in use"),
                3,
                "0.0.0.0:1935 is in use by another program; change rtmp.listen or stop it",
            ),
            (StoreError("/x: locked"), 3, "can't start: /x: locked"),
            (SettingsError("hls.x: no"), 78, "hls.x: no"),
            (HlsOriginError("went wrong"), 1, "went wrong"),
        ],
    )
    def test_failures(
        self,
        origin: ModuleType,
        capsys: pytest.CaptureFixture[str],
        failure: Exception,
        code: int,
        sentence: str,
    ) -> None:
        async def run(settings: Settings) -> None:
            raise failure

        origin.__dict__["run"] = run
        assert main(["serve"]) == code
        assert capsys.readouterr().err == sentence + "\n"


def test_the_error_of_a_port_in_use() -> None:
    with bind_socket(ListenAddress("127.0.0.1", 0)) as taken:
        address = ListenAddress("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use") as caught:
            bind_socket(address)
    settings = Settings.model_validate({"http": {"listen": str(address)}})
    assert why_not_started(caught.value, settings) == (
        f"{address} is in use by another program; change http.listen or stop it"
    )


@pytest.mark.parametrize(
    ("err", "sentence"),
    [
        (
            OSError(errno.EACCES, "0.0.0.0:8080: Permission denied"),
            "0.0.0.0:8080: not allowed to listen there; ports below 1024 need "
            "CAP_NET_BIND_SERVICE or root; change http.listen",
        ),
        (
            OSError(errno.EADDRNOTAVAIL, "127.0.0.1:8081: Cannot assign"),
            "127.0.0.1:8081 is not an address of this machine; change admin.listen",
        ),
        (
            OSError(errno.EADDRINUSE, "[::1]:9999: in use"),
            "[::1]:9999 is in use by another program; change its port or stop it",
        ),
        (
            OSError(-2, "0.0.0.0:1935: Name or service not known"),
            "can't listen on 0.0.0.0:1935: Name or service not known; change rtmp.listen",
        ),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "can't start: [Errno 24] Too many open files",
        ),
    ],
)
def test_why_not_started(err: OSError, sentence: str) -> None:
    assert why_not_started(err, Settings()) == sentence


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def health_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


class TestHealthcheck:
    def test_alive(
        self,
        health_server: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert main(["healthcheck", "--url", f"http://{health_server}/healthz"]) == 0
        assert capsys.readouterr().out == "ok\n"
        monkeypatch.setenv("HLSORIGIN_ADMIN__LISTEN", health_server)
        assert main(["healthcheck"]) == 0

    def test_not_well(self, health_server: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["healthcheck", "--url", f"http://{health_server}/other"]) == 1
        assert "answered 503 Service Unavailable" in capsys.readouterr().err

    def test_nobody_there(self) -> None:
        with pytest.raises(HlsOriginError, match="no answer: .*refused"):
            check_health("http://127.0.0.1:1/healthz")
        with pytest.raises(HlsOriginError, match="not an http address"):
            check_health("file:///etc/hostname")

    @pytest.mark.parametrize(
        ("listen", "url"),
        [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/healthz"),
            ("0.0.0.0:81", "http://127.0.0.1:81/healthz"),
            ("[::]:81", "http://[::1]:81/healthz"),
            (":81", "http://127.0.0.1:81/healthz"),
        ],
    )
    def test_address(self, listen: str, url: str) -> None:
        admin = {"listen": listen, "tokens": ["x"]}
        assert health_url(Settings.model_validate({"admin": admin})) == url

    def test_no_address(self) -> None:
        for listen in ("", "127.0.0.1:0"):
            with pytest.raises(SettingsError, match="give --url"):
                health_url(Settings.model_validate({"admin": {"listen": listen}}))


class TestInspect:
    def test_tables(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a"
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
        assert main(["inspect", str(path)]) == 0
        out = capsys.readouterr().out
        assert "m3u8" in out
        assert "a.ts" in out

    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a"
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
        assert main(["inspect", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["format"] == "m3u8"

    def test_broken(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"hello")
        assert main(["inspect", str(path)]) == 1
        assert "error: neither FLV nor" in capsys.readouterr().out

    def test_no_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["inspect", str(tmp_path / "none")]) == 1
        assert "No such file" in capsys.readouterr().err
