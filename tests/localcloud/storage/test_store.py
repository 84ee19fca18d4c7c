"""The store that the other local services use: events, restarts, many threads, lists."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sortedcontainers import SortedDict

from localcloud.base.clock import ManualClock, SystemClock
from localcloud.storage.objects.copying import Source, compose
from localcloud.storage.objects.listing import ListQuery, list_page
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RateLimited,
)
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.rules.resources import (
    DELETED,
    FINALIZED,
    METADATA_UPDATED,
    StorageEvent,
)
from tests.localcloud.storage.world import conform_to_object
from tests.paths import ROOT

# Without soft deletion, tests see whether the files of contents are removed.
NO_SOFT_DELETE = {"softDeletePolicy": {"retentionDurationSeconds": 0}}


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> ObjectStore:
    opened = ObjectStore(tmp_path / "storage", clock=clock)
    opened.ensure_bucket("drops", settings=NO_SOFT_DELETE)
    return opened


def write_if(store: ObjectStore, name: str, content: bytes, generation: int) -> None:
    """Write ``content`` if the live generation is ``generation``."""
    with store.begin_content() as writer:
        writer.write(content)
        store.finalize("drops", name, writer.finish(), ObjectFields(), Preconditions(generation_match=generation))


def test_objects_are_written_read_and_listed(store: ObjectStore) -> None:
    stored = store.write("drops", "b/2", b"bytes", content_type="text/plain", metadata={"k": "v"})
    store.write("drops", "b/1", io.BytesIO(b"file"))
    store.write("drops", "a", b"")
    assert store.read("drops", "b/1") == b"file"
    assert store.get("drops", "b/2") == store.get("drops", "b/2", stored.generation) == stored
    assert [found.name for found in store.list("drops")] == ["a", "b/1", "b/2"]
    assert [found.name for found in store.list("drops", "b/")] == ["b/1", "b/2"]
    with store.open(stored) as content:
        assert content.read() == b"bytes"


def test_missing_objects_and_buckets_are_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        store.get("drops", "absent")
    with pytest.raises(NotFound):
        store.list("absent-bucket")
    with pytest.raises(NotFound):
        store.write("absent-bucket", "name", b"x")
    stored = store.write("drops", "name", b"1")
    store.write("drops", "name", b"2")
    with pytest.raises(NotFound):
        store.get("drops", "name", stored.generation)
    with pytest.raises(NotFound):
        store.open(stored)


def test_bucket_is_ensured_but_not_created_twice(store: ObjectStore) -> None:
    assert store.ensure_bucket("drops", location="EU") == store.bucket("drops")
    assert store.bucket("drops").location == "US"
    with pytest.raises(Conflict):
        store.create_bucket("drops")
    with pytest.raises(InvalidRequest):
        store.create_bucket("Not-Allowed")


def test_open_content_outlives_its_object(store: ObjectStore) -> None:
    stored = store.write("drops", "name", b"old")
    with store.open(stored) as content:
        store.write("drops", "name", b"new")
        store.delete("drops", "name")
        assert content.read() == b"old"


def test_write_that_fails_halfway_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    class Torn(io.RawIOBase):
        pieces = 0

        def read(self, size: int = -1) -> bytes:
            self.pieces += 1
            if self.pieces == 3:
                raise OSError("torn")
            return b"x" * 1000

    with pytest.raises(OSError, match="torn"):
        store.write("drops", "name", Torn())  # type: ignore[arg-type]
    assert store.list("drops") == []
    assert not [path for path in (tmp_path / "storage" / "contents").rglob("*") if path.is_file()]


# Events


def test_each_change_has_one_event_with_the_resource(store: ObjectStore, clock: ManualClock) -> None:
    seen: list[StorageEvent] = []
    store.watch(seen.append)
    first = store.write("drops", "dir/ü name", b"first", metadata={"k": "v"})
    clock.advance(1)
    updated = store.update_fields("drops", "dir/ü name", {"metadata": {"k": None, "n": "w"}})
    clock.advance(1)
    second = store.write("drops", "dir/ü name", b"second")
    store.delete("drops", "dir/ü name")

    assert [event.type for event in seen] == [FINALIZED, METADATA_UPDATED, FINALIZED, DELETED, DELETED]
    assert [event.stored.generation for event in seen] == [
        first.generation, first.generation, second.generation, first.generation, second.generation,
    ]  # fmt: skip
    for event in seen:
        conform_to_object(event.stored.resource())
    resource = seen[0].stored.resource()
    assert resource == {
        "kind": "storage#object",
        "id": f"drops/dir/ü name/{first.generation}",
        "selfLink": "https://www.googleapis.com/storage/v1/b/drops/o/dir%2F%C3%BC%20name",
        "mediaLink": "https://storage.googleapis.com/download/storage/v1/b/drops/o/dir%2F%C3%BC%20name"
        f"?generation={first.generation}&alt=media",
        "name": "dir/ü name",
        "bucket": "drops",
        "generation": str(first.generation),
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "storageClass": "STANDARD",
        "size": "5",
        "md5Hash": "iwTV43ddKY54RV78XKQE1Q==",
        "crc32c": resource["crc32c"],
        "etag": first.etag,
        "timeCreated": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
        "timeStorageClassUpdated": "2026-01-01T00:00:00.000Z",
        "timeFinalized": "2026-01-01T00:00:00.000Z",
        "metadata": {"k": "v"},
    }
    assert updated.resource()["metadata"] == {"n": "w"}
    assert updated.resource()["updated"] == "2026-01-01T00:00:01.000Z"
    assert seen[-1].stored.resource()["timeDeleted"] == "2026-01-01T00:00:02.000Z"


def test_rejected_change_has_no_event(store: ObjectStore) -> None:
    store.write("drops", "name", b"x")
    seen: list[StorageEvent] = []
    store.watch(seen.append)
    rejected: list[Callable[[], object]] = [
        lambda: write_if(store, "name", b"y", 0),
        lambda: store.delete("drops", "name", Preconditions(metageneration_match=9)),
        lambda: store.update_fields("drops", "name", {}, Preconditions(generation_match=9)),
    ]
    for change in rejected:
        with pytest.raises(PreconditionFailed):
            change()
    assert seen == []


def test_listener_may_read_and_write_the_store(store: ObjectStore) -> None:
    seen: list[str] = []

    def derive(event: StorageEvent) -> None:
        seen.append(event.stored.name)
        if event.type == FINALIZED and len(event.stored.name) < 4:
            store.write("drops", event.stored.name + "x", store.read("drops", event.stored.name))

    store.watch(derive)
    store.write("drops", "a", b"content")
    assert seen == ["a", "ax", "axx", "axxx"]
    assert store.read("drops", "axxx") == b"content"


def test_failing_listener_does_not_affect_others(store: ObjectStore, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: StorageEvent) -> None:
        raise RuntimeError("not today")

    seen: list[StorageEvent] = []
    store.watch(fail)
    store.watch(seen.append)
    stored = store.write("drops", "name", b"x")
    assert [event.stored for event in seen] == [stored]
    assert "not today" in caplog.text


def test_events_of_one_object_are_in_order_across_threads(store: ObjectStore) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    store.watch(
        lambda event: seen[event.stored.name].append(event.stored.generation) if event.type == FINALIZED else None
    )

    def write(number: int) -> None:
        for turn in range(25):
            store.write("drops", f"object-{(number + turn) % 3}", b"x" * number)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(write, range(12)))
    assert sum(map(len, seen.values())) == 12 * 25
    for generations in seen.values():
        assert generations == sorted(set(generations))


# Many threads


def test_one_of_many_claims_wins(store: ObjectStore) -> None:
    together = threading.Barrier(16)

    def claim(owner: int) -> bool:
        together.wait()
        try:
            write_if(store, "claim", str(owner).encode(), 0)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(claim, range(16)))
    assert won.count(True) == 1
    assert store.read("drops", "claim") == str(won.index(True)).encode()


def test_counter_with_preconditions_loses_no_increment(store: ObjectStore) -> None:
    store.write("drops", "counter", b"0")

    def count(_: int) -> None:
        done = 0
        while done < 20:
            stored, content = store.open_live("drops", "counter")
            with content:
                value = int(content.read())
            try:
                write_if(store, "counter", str(value + 1).encode(), stored.generation)
            except PreconditionFailed:
                continue
            done += 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(count, range(6)))
    assert store.read("drops", "counter") == b"120"


# Restarts


def test_restart_keeps_everything(tmp_path: Path, clock: ManualClock) -> None:
    before = ObjectStore(tmp_path, clock=clock)
    bucket = before.create_bucket(
        "drops", location="us-central1", settings={"labels": {"team": "films"}, **NO_SOFT_DELETE}
    )
    kept = before.write("drops", "kept ü", b"content", metadata={"k": "v"})
    before.write("drops", "gone", b"x")
    before.delete("drops", "gone")
    empty = before.write("drops", "empty", b"")
    composed = compose(before, [Source("drops", "kept ü")], "drops", "composed", ObjectFields(), NO_PRECONDITIONS)
    gone = before.write("drops", "gone again", b"x")
    before.delete("drops", "gone again")
    before.create_bucket("short-lived")
    before.delete_bucket("short-lived")
    (tmp_path / "contents" / "00" / "00-never-finished").write_bytes(b"an upload under way when the process ended")
    before.close()

    after = ObjectStore(tmp_path, clock=clock)
    assert after.buckets() == [bucket]
    assert after.list("drops") == [composed, empty, kept]
    assert after.read("drops", "kept ü") == b"content"
    assert after.get("drops", "kept ü").resource() == kept.resource()
    assert len([path for path in (tmp_path / "contents").rglob("*") if path.is_file()]) == 2
    # Generations are unique even though the clock did not move.
    assert after.write("drops", "kept ü", b"new").generation > gone.generation
    assert after.read("drops", "kept ü") == b"new"
    after.close()


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from localcloud.base.clock import SystemClock
from localcloud.storage.objects.store import ObjectStore
store = ObjectStore(Path(sys.argv[1]), clock=SystemClock())
store.ensure_bucket("drops")
number = 0
while True:
    stored = store.write("drops", f"object-{number % 50}", str(number).encode())
    print(number, stored.generation, flush=True)
    number += 1
"""


def test_written_objects_survive_a_killed_process(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert writer.stdout is not None
    written = [writer.stdout.readline().split() for _ in range(300)]
    writer.kill()
    # The process wrote until it was killed; the last line may be incomplete.
    written += [line.split() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    writer.stdout.close()
    writer.wait()

    store = ObjectStore(tmp_path, clock=SystemClock())
    latest = {int(number) % 50: (int(number), int(generation)) for number, generation in written}
    for slot, (number, generation) in latest.items():
        stored = store.get("drops", f"object-{slot}")
        assert stored.generation >= generation
        assert int(store.read("drops", stored.name)) >= number
    store.close()


# The write quota


def test_quota_counts_each_object_by_the_clock(store: ObjectStore, clock: ManualClock) -> None:
    store.limit_writes(2)
    store.write("drops", "hot", b"1")
    clock.advance(0.4)
    with pytest.raises(RateLimited):
        store.write("drops", "hot", b"2")
    store.write("drops", "cold", b"1")
    clock.advance(0.1)
    store.write("drops", "hot", b"3")
    assert store.read("drops", "hot") == b"3"
    store.limit_writes(None)
    store.delete("drops", "hot")


# Lists


NAMES = st.lists(st.text(alphabet="ab/é\U0010ffff", min_size=1, max_size=6), max_size=25, unique=True)
PIECES = st.text(alphabet="ab/é\U0010ffff", max_size=3)


def expected_list(names: list[str], query: ListQuery) -> tuple[list[str], list[str]]:
    """Return the names and common prefixes that ``query`` selects, found by a full scan."""
    items, prefixes = [], []
    for name in sorted(names, key=lambda name: name.encode()):
        if not name.startswith(query.prefix) or name < query.start_offset:
            continue
        if query.end_offset and name >= query.end_offset:
            continue
        head, delimiter, _ = name[len(query.prefix) :].partition(query.delimiter) if query.delimiter else ("", "", "")
        folder = query.prefix + head + delimiter
        if delimiter and folder not in prefixes:
            prefixes.append(folder)
        if not delimiter or (query.include_trailing_delimiter and name == folder):
            items.append(name)
    return items, prefixes


@given(
    names=NAMES,
    prefix=PIECES,
    delimiter=st.sampled_from(["", "/", "b", "a/", "\U0010ffff"]),
    start=PIECES,
    end=PIECES,
    trailing=st.booleans(),
    size=st.integers(min_value=1, max_value=5),
)
def test_pages_add_up_to_the_whole_list(
    names: list[str], prefix: str, delimiter: str, start: str, end: str, trailing: bool, size: int
) -> None:
    store_of_names = SortedDict({name: name for name in names})
    token, items, prefixes = "", [], []
    query = ListQuery(prefix, delimiter, start, end, include_trailing_delimiter=trailing, max_results=size)
    while True:
        page = list_page(store_of_names, replace(query, page_token=token))
        entries = {*page.items, *page.prefixes}
        assert len(entries) <= size
        items += page.items
        prefixes += page.prefixes
        token = page.next_page_token
        if not token:
            break
        assert len(entries) == size
    assert (items, prefixes) == expected_list(names, query)


@pytest.mark.parametrize(
    ("glob", "matching"),
    [
        ("*", ["a.pb", "b[1].txt"]),
        ("**", ["a.pb", "b[1].txt", "m/1/c.pb", "m/2/d.txt", "m/deep/er/e.pb"]),
        ("**.pb", ["a.pb", "m/1/c.pb", "m/deep/er/e.pb"]),
        ("**/*.pb", ["a.pb", "m/1/c.pb", "m/deep/er/e.pb"]),
        ("m/*/*", ["m/1/c.pb", "m/2/d.txt"]),
        ("m/?/*.{pb,txt}", ["m/1/c.pb", "m/2/d.txt"]),
        ("m/[!1]/*", ["m/2/d.txt"]),
        ("m/[0-1]/*", ["m/1/c.pb"]),
        ("b\\[1].txt", ["b[1].txt"]),
        ("nothing", []),
    ],
)
def test_glob_selects_names(store: ObjectStore, glob: str, matching: list[str]) -> None:
    for name in ("a.pb", "b[1].txt", "m/1/c.pb", "m/2/d.txt", "m/deep/er/e.pb"):
        store.write("drops", name, b"")
    assert [found.name for found in store.page("drops", ListQuery(match_glob=glob)).items] == matching


def test_malformed_glob_is_rejected(store: ObjectStore) -> None:
    for glob in ("{a", "a}", "[b-a]", "[", "[]", "*.[a", "a\\"):
        with pytest.raises(InvalidRequest):
            store.page("drops", ListQuery(match_glob=glob))
