"""What only the store in memory does; the rest is in test_contract.py."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import StoreFull
from hlsorigin.store.base import StoreUsage
from hlsorigin.store.ledger import Ledger, ResourceKey
from hlsorigin.store.memory import MemoryStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_get_nowait_gives_the_very_object_without_copying() -> None:
    store = MemoryStore(100, 100)
    data = b"bytes of a segment"
    await store.put("live/room1", "v0-a-1.ts", data)
    assert store.get_nowait("live/room1", "v0-a-1.ts") is data


@pytest.mark.anyio
async def test_close_lets_go_of_everything() -> None:
    store = MemoryStore(100, 100)
    await store.put("live/room1", "v0-a-1.ts", b"x" * 100)
    await store.close()
    assert store.usage() == StoreUsage(0, 0)
    assert store.get_nowait("live/room1", "v0-a-1.ts") is None
    await store.put("live/room1", "v0-a-2.ts", b"x" * 100)


@pytest.mark.anyio
async def test_a_stream_may_take_its_own_retired_segment_s_last_room() -> None:
    """The stream's dict must survive (or come back) when its only resource makes room."""
    store = MemoryStore(100, 100)
    await store.put("live/room1", "v0-a-1.ts", b"x" * 100)
    store.retire("live/room1", "v0-a-1.ts", 10.0)
    await store.put("live/room1", "v0-a-2.ts", b"y" * 100)
    assert store.get_nowait("live/room1", "v0-a-2.ts") == b"y" * 100
    assert store.usage() == StoreUsage(100, 1)


@given(st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=40))
def test_expire_goes_by_deadline_then_by_order(deadlines: list[float]) -> None:
    ledger = Ledger(10_000, 10_000)
    for index, until_s in enumerate(deadlines):
        key = ResourceKey(f"live/room{index % 3}", f"v0-a-{index}.ts")
        ledger.add(key, 1)
        ledger.retire(key, until_s)
    names = [key.resource for key in ledger.expire(101.0)]
    expected = sorted(range(len(deadlines)), key=lambda index: (deadlines[index], index))
    assert names == [f"v0-a-{index}.ts" for index in expected]
    assert ledger.usage() == StoreUsage(0, 0)


def test_queues_do_not_grow_with_what_has_passed() -> None:
    """An origin runs for months: entries of dropped resources must leave both heaps."""
    ledger = Ledger(1000, 1000)
    for msn in range(5_000):
        key = ResourceKey("live/room1", f"v0-a-{msn}.ts")
        ledger.add(key, 10)
        ledger.retire(key, msn + 5.0)
        ledger.expire(float(msn))
    shelf = ledger._shelves["live/room1"]
    assert len(shelf.sizes) < 10
    assert len(shelf.queue) < 10
    assert len(ledger._queue) < 10


def test_room_held_for_a_put_counts_until_it_is_given_back() -> None:
    ledger = Ledger(100, 100)
    with ledger.reserve("live/room1", 60):
        with pytest.raises(StoreFull), ledger.reserve("live/room2", 41):
            pass
        assert ledger.usage() == StoreUsage(0, 0)
    with ledger.reserve("live/room2", 100):
        pass
    assert ledger._shelves == {}
