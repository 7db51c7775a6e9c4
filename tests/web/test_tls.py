"""web.tls: what an operator hears of a wrong certificate, and renewal without a restart."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from hlsorigin.errors import SettingsError
from hlsorigin.settings import load_settings
from hlsorigin.web.server import make_server
from hlsorigin.web.tls import Certificate, load_certificate
from tests.web.test_http2 import App, connect, make_certificate


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Paths of a certificate and its key."""
    return make_certificate(tmp_path)


def test_no_path_is_plain_http() -> None:
    assert load_certificate("", "") is None


def test_old_versions_of_tls_are_refused(files: tuple[str, str]) -> None:
    """RFC 9113 9.2: 1.2 at least."""
    certificate = load_certificate(*files)
    assert certificate is not None
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_missing_file(files: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"http\.tls_certificate: /no/cert: can't be read: No"):
        Certificate("/no/cert", files[1])
    with pytest.raises(SettingsError, match=r"http\.tls_key: /no/key: can't be read: No such file"):
        Certificate(files[0], "/no/key")


def test_paths_that_were_exchanged(files: tuple[str, str]) -> None:
    certificate, key = files
    with pytest.raises(SettingsError, match=r"http\.tls_certificate: .*: holds no certificate"):
        Certificate(key, certificate)
    with pytest.raises(SettingsError, match=r"http\.tls_key: .*: holds no private key"):
        Certificate(certificate, certificate)


def test_key_of_another_certificate(files: tuple[str, str], tmp_path: Path) -> None:
    _, other_key = make_certificate(tmp_path, "other")
    with pytest.raises(SettingsError, match=r"http\.tls_key: .*other\.key: is not the key of"):
        Certificate(files[0], other_key)


def test_key_with_a_passphrase(files: tuple[str, str], tmp_path: Path) -> None:
    locked = str(tmp_path / "locked.key")
    command = ["openssl", "pkey", "-in", files[1], "-out", locked, "-aes256"]
    subprocess.run([*command, "-passout", "pass:secret"], check=True)
    with pytest.raises(SettingsError, match=r"http\.tls_key: .*: is locked with a passphrase"):
        Certificate(files[0], locked)


def test_damaged_certificate(files: tuple[str, str]) -> None:
    Path(files[0]).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match=r"http\.tls_certificate: .*: not usable"):
        Certificate(*files)


def test_key_that_everybody_may_read_is_told(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files[1]).chmod(0o600)
    Certificate(*files)
    assert "tls_key_readable" not in capsys.readouterr().out
    Path(files[1]).chmod(0o644)
    Certificate(*files)
    assert "tls_key_readable" in capsys.readouterr().out


async def _presented(port: int) -> bytes:
    reader, writer = await connect(port, ["h2"])
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    assert der is not None
    writer.transport.abort()
    return der


def _der(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text())


@pytest.mark.anyio
async def test_renewed_certificate_is_taken(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlsorigin.web.server._RENEWAL_TICKS", 1)
    old, new = files, make_certificate(tmp_path, "new")
    der = [_der(paths[0]) for paths in (old, new)]
    server = make_server(
        App(), keep_alive_s=75, max_connections=10, certificate=Certificate(*files)
    )
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        group.create_task(server.serve(sockets=[sock]))
        assert await _presented(port) == der[0]
        shutil.copy(new[0], old[0])
        # Half done: the key is still the old one.
        for _ in range(3):
            assert await server.on_tick(0) is False
        assert await _presented(port) == der[0]
        shutil.copy(new[1], old[1])
        while await _presented(port) != der[1]:
            pass
        server.should_exit = True


def test_renewal_survives_missing_files(files: tuple[str, str]) -> None:
    certificate = Certificate(*files)
    assert certificate.renew() is False
    Path(files[0]).rename(files[0] + ".bak")
    assert certificate.renew() is False
    Path(files[0] + ".bak").rename(files[0])
    os.utime(files[0], (1, 1))
    assert certificate.renew() is True
    assert certificate.renew() is False


@pytest.mark.parametrize("missing, other", [("key", "certificate"), ("certificate", "key")])
def test_settings_name_both_or_none(tmp_path: Path, missing: str, other: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'http.tls_{other} = "/x"\n')
    message = f"http.tls_{missing}: is missing, and tls_{other} is set: set both or none"
    with pytest.raises(SettingsError, match=message):
        load_settings(config, {})
