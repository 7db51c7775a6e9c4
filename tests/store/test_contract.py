"""What every store must do, run over each of them (hlsorigin/store/base.py)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from hlsorigin.errors import StoreError, StoreFull
from hlsorigin.store.base import SegmentStore, StoreUsage
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.memory import MemoryStore

AnyStore: TypeAlias = MemoryStore | DiskStore

MAX_BYTES = 1000
MAX_STREAM_BYTES = 600
ROOM_1 = "live/room1"
ROOM_2 = "live/room2"
#: Resources of every kind, named as hls/naming.py does it.
KINDS = (
    "v0-lq2k7d-81.ts", "v0-lq2k7d-81.m4s", "v0-lq2k7d-81.0.ts", "v0-lq2k7d-81.12.m4s",
    "v0-lq2k7d-8.1.m4s", "v0-lq2k7d-i81.mp4", "v1-lq2k7d-i81.mp4", "a0-lq2k7d-81.m4s",
    "a12-lq2k7d-81.0.m4s", "a0-lq2k7e-i81.mp4",
)  # fmt: skip


def _memory(_root: Path) -> AnyStore:
    return MemoryStore(MAX_BYTES, MAX_STREAM_BYTES)


def _disk(root: Path) -> AnyStore:
    return DiskStore(root, MAX_BYTES, MAX_STREAM_BYTES, "never")


def _disk_without_cache(root: Path) -> AnyStore:
    return DiskStore(root, MAX_BYTES, MAX_STREAM_BYTES, "never", cache_bytes=0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[_memory, _disk, _disk_without_cache])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    make: Callable[[Path], AnyStore] = request.param
    made = make(tmp_path / "store")
    await made.open()
    yield made
    await made.close()


def segment(msn: int) -> str:
    return f"v0-lq2k7d-{msn}.ts"


def satisfies_protocol(memory: MemoryStore, disk: DiskStore) -> tuple[SegmentStore, SegmentStore]:
    """Checked by mypy: both have every method of the contract."""
    return memory, disk


@pytest.mark.anyio
async def test_a_put_that_returned_can_be_read_at_once(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"one")
    assert await store.get(ROOM_1, segment(1)) == b"one"
    assert store.get_nowait(ROOM_1, segment(1)) in (b"one", None)
    assert store.usage() == StoreUsage(bytes=3, resources=1)


@pytest.mark.anyio
@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_of_resource_is_treated_alike(store: AnyStore, name: str) -> None:
    """Segments, parts and init sections, of every rendition (hls/naming.py)."""
    await store.put(ROOM_1, name, b"bytes")
    assert await store.get(ROOM_1, name) == b"bytes"
    assert store.usage(ROOM_1) == StoreUsage(bytes=5, resources=1)
    with pytest.raises(StoreError, match="never changes"):
        await store.put(ROOM_1, name, b"other")
    store.retire(ROOM_1, name, 10.0)
    assert await store.sweep(10.0) == 0
    assert await store.sweep(10.1) == 1
    assert await store.get(ROOM_1, name) is None
    assert store.usage() == StoreUsage(bytes=0, resources=0)


@pytest.mark.anyio
async def test_names_that_look_alike_are_different_resources(store: AnyStore) -> None:
    for name in KINDS:
        await store.put(ROOM_1, name, name.encode())
    assert [await store.get(ROOM_1, name) for name in KINDS] == [name.encode() for name in KINDS]
    store.retire(ROOM_1, "v0-lq2k7d-81.m4s", 1.0)
    assert await store.sweep(2.0) == 1
    assert store.usage().resources == len(KINDS) - 1


@pytest.mark.anyio
async def test_an_init_section_makes_room_like_any_other(store: AnyStore) -> None:
    """Until it is retired nothing drops it, however small and old it is."""
    await store.put(ROOM_1, "v0-lq2k7d-i1.mp4", b"x" * 100)
    for msn in range(1, 6):
        await store.put(ROOM_1, segment(msn), b"x" * 250)
        store.retire(ROOM_1, segment(msn), float(msn))
    assert await store.get(ROOM_1, "v0-lq2k7d-i1.mp4") == b"x" * 100
    store.retire(ROOM_1, "v0-lq2k7d-i1.mp4", 4.0)
    await store.put(ROOM_1, segment(6), b"x" * 350)
    assert await store.get(ROOM_1, "v0-lq2k7d-i1.mp4") is None
    assert await store.get(ROOM_1, segment(5)) is not None


@pytest.mark.anyio
async def test_unknown_names_give_none(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"one")
    assert await store.get(ROOM_1, segment(2)) is None
    assert await store.get(ROOM_2, segment(1)) is None
    assert store.get_nowait(ROOM_2, segment(1)) is None
    assert store.usage("live/nobody") == StoreUsage(bytes=0, resources=0)
    store.retire("live/nobody", segment(1), 1.0)
    assert await store.sweep(2.0) == 0
    await store.remove_stream("live/nobody")


@pytest.mark.anyio
async def test_playlists_are_no_resources(store: AnyStore) -> None:
    """put_playlist: "Playlists are answered from memory"."""
    for name in ("index.m3u8", "v0.m3u8", "v1.m3u8", "a0.m3u8"):
        await store.put_playlist(ROOM_1, name, "#EXTM3U\n")
        assert await store.get(ROOM_1, name) is None
    assert store.usage() == StoreUsage(bytes=0, resources=0)


@pytest.mark.anyio
async def test_same_bytes_again_change_nothing(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"x" * 500)
    await store.put(ROOM_1, segment(1), b"x" * 500)
    assert store.usage(ROOM_1) == StoreUsage(bytes=500, resources=1)


@pytest.mark.anyio
async def test_what_was_put_under_a_name_never_changes(store: AnyStore) -> None:
    """Invariant 3: what was published under a URL never changes."""
    await store.put(ROOM_1, segment(1), b"one")
    for other in (b"two", b"", b"one and more"):
        with pytest.raises(StoreError, match="never changes"):
            await store.put(ROOM_1, segment(1), other)
    assert await store.get(ROOM_1, segment(1)) == b"one"
    assert store.usage() == StoreUsage(bytes=3, resources=1)


@pytest.mark.anyio
async def test_empty_resource(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"")
    assert await store.get(ROOM_1, segment(1)) == b""
    assert store.usage() == StoreUsage(bytes=0, resources=1)


@pytest.mark.anyio
async def test_stream_bound(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"x" * MAX_STREAM_BYTES)
    with pytest.raises(StoreFull) as caught:
        await store.put(ROOM_1, segment(2), b"y")
    assert (caught.value.limit_bytes, caught.value.setting) == (600, "store.max_stream_bytes")
    assert await store.get(ROOM_1, segment(2)) is None
    assert store.usage() == StoreUsage(bytes=600, resources=1)


@pytest.mark.anyio
async def test_total_bound(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"x" * 600)
    await store.put(ROOM_2, segment(1), b"x" * 400)
    with pytest.raises(StoreFull) as caught:
        await store.put(ROOM_2, segment(2), b"y")
    assert (caught.value.limit_bytes, caught.value.setting) == (1000, "store.max_bytes")
    assert store.usage() == StoreUsage(bytes=1000, resources=2)


@pytest.mark.anyio
async def test_a_full_store_drops_nothing_in_vain(store: AnyStore) -> None:
    """StoreFull: "nothing was stored", and what is retired keeps its time."""
    await store.put(ROOM_1, segment(1), b"x" * 100)
    await store.put(ROOM_1, segment(2), b"x" * 450)
    store.retire(ROOM_1, segment(1), 50.0)
    with pytest.raises(StoreFull):
        await store.put(ROOM_1, segment(3), b"y" * 151)
    assert await store.get(ROOM_1, segment(1)) == b"x" * 100
    assert store.evicted_early == 0
    await store.put(ROOM_1, segment(3), b"y" * 150)
    assert store.evicted_early == 1


@pytest.mark.anyio
async def test_the_earliest_deadline_leaves_first(store: AnyStore) -> None:
    for msn, until_s in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 10.0)):
        await store.put(ROOM_1, segment(msn), b"x" * 100)
        store.retire(ROOM_1, segment(msn), until_s)
    gone = []
    for new in range(5, 11):
        await store.put(ROOM_1, segment(new), b"y" * 100)
        gone += [
            msn
            for msn in range(1, 5)
            if msn not in gone and await store.get(ROOM_1, segment(msn)) is None
        ]
    assert gone == [2, 4, 3, 1]
    assert store.evicted_early == 4


@pytest.mark.anyio
async def test_the_stream_bound_costs_that_stream_only(store: AnyStore) -> None:
    await store.put(ROOM_2, segment(1), b"x" * 300)
    store.retire(ROOM_2, segment(1), 1.0)
    await store.put(ROOM_1, segment(1), b"x" * 300)
    store.retire(ROOM_1, segment(1), 99.0)
    await store.put(ROOM_1, segment(2), b"x" * 300)
    await store.put(ROOM_1, segment(3), b"x" * 10)
    assert await store.get(ROOM_2, segment(1)) is not None
    assert await store.get(ROOM_1, segment(1)) is None


@pytest.mark.anyio
async def test_the_total_bound_takes_from_any_stream(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"x" * 600)
    store.retire(ROOM_1, segment(1), 99.0)
    await store.put(ROOM_2, segment(1), b"x" * 400)
    await store.put(ROOM_2, segment(2), b"x" * 100)
    assert await store.get(ROOM_1, segment(1)) is None
    assert store.usage() == StoreUsage(bytes=500, resources=2)
    assert store.usage(ROOM_1) == StoreUsage(bytes=0, resources=0)


@pytest.mark.anyio
async def test_retired_until_the_very_second(store: AnyStore) -> None:
    """sweep: "Drop what was retired until before now"."""
    await store.put(ROOM_1, segment(1), b"one")
    await store.put(ROOM_1, segment(2), b"two")
    store.retire(ROOM_1, segment(1), 10.0)
    assert await store.sweep(10.0) == 0
    assert await store.get(ROOM_1, segment(1)) == b"one"
    assert await store.sweep(10.001) == 1
    assert await store.get(ROOM_1, segment(1)) is None
    assert store.get_nowait(ROOM_1, segment(1)) is None
    assert await store.get(ROOM_1, segment(2)) == b"two"
    assert await store.sweep(1e9) == 0
    assert store.usage() == StoreUsage(bytes=3, resources=1)


@pytest.mark.anyio
async def test_the_longest_promise_holds(store: AnyStore) -> None:
    await store.put(ROOM_1, segment(1), b"one")
    for until_s in (10.0, 30.0, 20.0):
        store.retire(ROOM_1, segment(1), until_s)
    assert await store.sweep(30.0) == 0
    assert await store.sweep(31.0) == 1


@pytest.mark.anyio
async def test_a_removed_stream_leaves_the_others(store: AnyStore) -> None:
    for room in (ROOM_1, ROOM_2, "other/room1"):
        await store.put(room, segment(1), room.encode())
        await store.put_playlist(room, "v0.m3u8", "#EXTM3U\n")
        store.retire(room, segment(1), 5.0)
    await store.remove_stream(ROOM_1)
    assert await store.get(ROOM_1, segment(1)) is None
    assert store.get_nowait(ROOM_1, segment(1)) is None
    assert await store.get(ROOM_2, segment(1)) == b"live/room2"
    assert await store.get("other/room1", segment(1)) == b"other/room1"
    assert await store.sweep(6.0) == 2
    await store.put(ROOM_1, segment(2), b"back")
    assert await store.get(ROOM_1, segment(2)) == b"back"


@pytest.mark.anyio
async def test_nothing_to_recover_in_a_new_store(store: AnyStore) -> None:
    assert await store.recover() == {}


@pytest.mark.anyio
async def test_concurrent_puts_keep_the_bounds(store: AnyStore) -> None:
    """Two puts under way together must not both take the last room."""
    results = await asyncio.gather(
        *(store.put(ROOM_1, segment(msn), b"x" * 200) for msn in range(5)),
        *(store.put(ROOM_2, segment(msn), b"x" * 200) for msn in range(5)),
        return_exceptions=True,
    )
    refusals = [result for result in results if result is not None]
    assert all(isinstance(refusal, StoreFull) for refusal in refusals)
    assert len(refusals) == 5
    assert store.usage() == StoreUsage(bytes=1000, resources=5)


@pytest.mark.anyio
async def test_concurrent_puts_of_one_name(store: AnyStore) -> None:
    results = await asyncio.gather(
        *(store.put(ROOM_1, segment(1), data) for data in (b"one", b"two", b"one")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), StoreError, type(None)]
    assert await store.get(ROOM_1, segment(1)) == b"one"


class Model:
    """The contract again, in the most naive way."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, str], bytes] = {}
        self.until_s: dict[tuple[str, str], float] = {}  # in the order of their last retire
        self.evicted_early = 0

    def size(self, room: str | None = None) -> int:
        return sum(len(data) for key, data in self.data.items() if room in (None, key[0]))

    def put(self, room: str, name: str, data: bytes) -> bool:
        if (room, name) in self.data:
            return self.data[room, name] == data
        before = dict(self.data), dict(self.until_s), self.evicted_early
        for limit_bytes, of_room in ((MAX_STREAM_BYTES, room), (MAX_BYTES, None)):
            while self.size(of_room) + len(data) > limit_bytes:
                retired = [key for key in self.until_s if of_room in (None, key[0])]
                if not retired:
                    self.data, self.until_s, self.evicted_early = before
                    return False
                self.drop(min(retired, key=lambda key: self.until_s[key]))
                self.evicted_early += 1
        self.data[room, name] = data
        return True

    def retire(self, room: str, name: str, until_s: float) -> None:
        key = (room, name)
        if key in self.data and until_s > self.until_s.get(key, -1.0):
            self.until_s.pop(key, None)
            self.until_s[key] = until_s

    def sweep(self, now_s: float) -> int:
        expired = [key for key, until_s in self.until_s.items() if until_s < now_s]
        for key in expired:
            self.drop(key)
        return len(expired)

    def drop(self, key: tuple[str, str]) -> None:
        del self.data[key]
        self.until_s.pop(key, None)


async def _step(store: AnyStore, model: Model, rng: random.Random) -> None:
    room, name = rng.choice((ROOM_1, ROOM_2, "other/room1")), segment(rng.randrange(12))
    match rng.choice(("put", "put", "put", "put", "retire", "retire", "sweep", "remove")):
        case "put":
            data = bytes([rng.randrange(2)]) * rng.choice((0, 1, 90, 150, 260, 700))
            try:
                await store.put(room, name, data)
                stored = True
            except StoreError:
                stored = False
            assert stored == model.put(room, name, data)
        case "retire":
            until_s = float(rng.randrange(40))
            store.retire(room, name, until_s)
            model.retire(room, name, until_s)
        case "sweep":
            now_s = float(rng.randrange(25))
            assert await store.sweep(now_s) == model.sweep(now_s)
        case _ if rng.random() < 0.3:
            await store.remove_stream(room)
            for key in [key for key in model.data if key[0] == room]:
                model.drop(key)


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(6))
async def test_random_operations_against_a_model(store: AnyStore, seed: int) -> None:
    rng, model = random.Random(seed), Model()
    for _ in range(150):
        await _step(store, model, rng)
        assert store.usage() == StoreUsage(model.size(), len(model.data))
        assert store.evicted_early == model.evicted_early
        for room in (ROOM_1, ROOM_2):
            count = sum(key[0] == room for key in model.data)
            assert store.usage(room) == StoreUsage(model.size(room), count)
    for room in (ROOM_1, ROOM_2, "other/room1"):
        for msn in range(12):
            assert await store.get(room, segment(msn)) == model.data.get((room, segment(msn)))
