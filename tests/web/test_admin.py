"""web.admin: health, streams as JSON, kick, tokens."""

from __future__ import annotations

import math

import pytest

from hlsorigin.media.note import Note
from hlsorigin.web.admin import AdminApp
from tests.support.http import client_for
from tests.support.live import INFO, live_rig
from tests.support.media import video_ms

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_health_and_readiness() -> None:
    async with live_rig() as rig:
        admin = AdminApp(rig.hub, rig.store, [])
        async with client_for(admin.build()) as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/readyz")).status_code == 503
            admin.phase = "ready"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
            assert ready.headers["cache-control"] == "no-store"
            assert (await client.get("/api/v1/version")).json()["version"]


async def test_streams() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 9)
        publisher.note(Note("broken_frame", "a frame was skipped"))
        publisher.data_event("onCuePoint", [{"name": "x", "n": math.nan}, b"raw"])
        async with client_for(AdminApp(rig.hub, rig.store, []).build()) as client:
            listed = (await client.get("/api/v1/streams")).json()
            one = (await client.get("/api/v1/streams/live/a")).json()
        assert listed["items"] == [one]
        assert (one["app"], one["name"], one["state"]) == ("live", "a", "live")
        assert one["publisher"]["address"] == "192.0.2.7:50000"
        assert [track["codec"] for track in one["tracks"]] == ["avc1.64001f", "mp4a.40.2"]
        assert one["ingest"]["keyframe_interval_s"] == 2.0
        assert one["hls"]["target_duration_s"] == 2
        assert one["hls"]["segments"] == 4
        assert one["stored_resources"] == 4
        assert one["events"][0]["code"] == "broken_frame"
        assert one["data_events"][0]["values"][0] == {"name": "x", "n": "nan"}


async def test_long_gop_is_seen_on_the_api() -> None:
    async with live_rig() as rig:
        await rig.write(rig.publish(), video_ms(25_000, gop=250))
        async with client_for(AdminApp(rig.hub, rig.store, []).build()) as client:
            one = (await client.get("/api/v1/streams/live/a")).json()
        assert one["ingest"]["keyframe_interval_s"] == 10.0
        [event] = one["events"]
        assert event["code"] == "long_gop"
        assert "keyframe interval to 2 s" in event["message"]


async def test_kick() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        async with client_for(AdminApp(rig.hub, rig.store, []).build()) as client:
            path = "/api/v1/streams/live/a/publisher"
            assert (await client.delete(path)).status_code == 204
            assert not publisher.is_open
            again = await client.delete(path)
            assert again.status_code == 404
            assert again.headers["content-type"] == "application/problem+json"
            assert (await client.get("/api/v1/streams/live/zz")).json()["status"] == 404


async def test_tokens_guard_the_api_but_not_health() -> None:
    async with live_rig() as rig:
        app = AdminApp(rig.hub, rig.store, ["s3cret", "other"]).build()
        async with client_for(app) as client:
            assert (await client.get("/healthz")).status_code == 200
            refused = await client.get("/api/v1/streams")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            for value in ("Bearer wrong", "Basic s3cret", "s3cret", "Bearer "):
                headers = {"authorization": value}
                assert (await client.get("/api/v1/streams", headers=headers)).status_code == 401
            for token in ("s3cret", "other"):
                headers = {"authorization": f"Bearer {token}"}
                assert (await client.get("/api/v1/streams", headers=headers)).status_code == 200


async def test_an_encoder_that_can_is_asked_to_reconnect() -> None:
    asked: list[str | None] = []

    def ask(tc_url: str | None) -> bool:
        asked.append(tc_url)
        return True

    async with live_rig() as rig:
        rig.hub.publish("live/a", INFO, rig.ended.append, ask)
        rig.publish("live/b")
        async with client_for(AdminApp(rig.hub, rig.store, []).build()) as client:
            path = "/api/v1/streams/live/{}/publisher/reconnect"
            url = "rtmp://192.0.2.9/live"
            assert (await client.post(path.format("a"), json={"tc_url": url})).status_code == 202
            assert (await client.post(path.format("a"), json={})).status_code == 202
            assert asked == [url, None]
            assert (await client.post(path.format("b"), json={})).status_code == 409
            bodies: list[object] = [{"url": url}, {"tc_url": 1}, {"tc_url": ""}, []]
            for bad in bodies:
                assert (await client.post(path.format("a"), json=bad)).status_code == 400
            assert (await client.post(path.format("c"), json={})).status_code == 404


async def test_renditions_are_described() -> None:
    async with live_rig(part_ms=500) as rig:
        await rig.write_seconds(rig.publish(), 9)
        async with client_for(AdminApp(rig.hub, rig.store, []).build()) as client:
            one = (await client.get("/api/v1/streams/live/a")).json()
        assert one["hls"]["part_target_s"] == 0.52
        assert one["hls"]["container"] == "text"
        (rendition,) = one["renditions"]
        assert (rendition["name"], rendition["playlist"]) == ("v0", "v0.m3u8")
        assert rendition["codecs"] == ["avc1.64001f", "mp4a.40.2"]
        assert rendition["held_requests"] == 0
