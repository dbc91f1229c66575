"""Shards through an object store: what is put there once is once in the run, however it is cut."""

import threading

import pytest

from glider import Criterion, Sample
from glider.core.errors import RunError, SetupError
from glider.core.judgments import Failure
from glider.store.manifest import Manifest
from glider.store.parts import PartStore, StoredShard, StoreFollower
from glider.store.run import RunFolder, outcomes
from glider.store.shards import shard_path

pytest.importorskip("fsspec")
CRITERION = Criterion(name="c", question="q?", rubric={0: "no", 1: "yes"})


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    if request.param == "file":
        return (tmp_path / "bucket").as_uri()
    return f"memory://{tmp_path.name}"


@pytest.fixture
def run(tmp_path):
    manifest = Manifest.of(
        run_id="big", judge="j", settings={}, criteria={"c": "x"}, input_path="in",
        input_sha256="0",
    )  # fmt: skip
    with RunFolder.create(tmp_path / "run", manifest, [CRITERION]) as run:
        yield run


def outcome(row, text="é"):
    return Failure(
        task_id=f"t{row}", sample_id=Sample.of(text).id, criterion="c", judge="j", stage="load",
        code="data", message=text,
    )  # fmt: skip


def rows(follower):
    return [row for row, _ in follower.lines()]


def test_a_shard_is_copied_as_it_grows(url, run):
    store = PartStore.of(url, run.manifest)
    assert store.names() == []
    shard = StoredShard(store)
    follower = StoreFollower(store, shard.name, run.path)
    assert rows(follower) == []
    for row in range(5):
        shard.record(row, outcome(row))
    assert rows(follower) == []  # nothing is put yet
    shard.flush()
    shard.flush()
    assert rows(follower) == [0, 1, 2, 3, 4]
    assert shard.size == follower.read == follower.path.stat().st_size
    shard.record(5, outcome(5))
    shard.close()
    assert rows(follower) == [5]
    assert store.beginnings(shard.name)[0] == 0
    assert len(store.beginnings(shard.name)) == 2
    assert sorted(row for row, _ in outcomes(run.path)) == list(range(6))


@pytest.mark.parametrize("kept", [0, 1, 0.3, 0.99])
def test_a_copy_that_was_cut_short_goes_on_where_it_ends(url, run, kept):
    store = PartStore.of(url, run.manifest)
    shard = StoredShard(store)
    for row in range(9):
        shard.record(row, outcome(row))
        if row % 3 == 2:
            shard.flush()
    first = StoreFollower(store, shard.name, run.path)
    assert rows(first) == list(range(9))
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[: int(kept * len(whole))])
    again = StoreFollower(store, shard.name, run.path)
    rows(again)
    assert again.path.read_bytes() == whole


def test_a_new_session_collects_what_nobody_has_read(url, run):
    store = PartStore.of(url, run.manifest)
    shards = [StoredShard(store) for _ in range(3)]
    for n, shard in enumerate(shards):
        for row in range(4 * n, 4 * n + 4):
            shard.record(row, outcome(row))
        shard.flush()
    assert store.names() == sorted(shard.name for shard in shards)
    for name in store.names():
        rows(StoreFollower(store, name, run.path))
    assert sorted(row for row, _ in outcomes(run.path)) == list(range(12))


def test_two_runs_of_one_name_do_not_mix(url, run):
    StoredShard(PartStore.of(url, run.manifest)).close()
    shard = StoredShard(PartStore.of(url, run.manifest))
    shard.record(0, outcome(0))
    shard.flush()
    later = run.manifest.model_copy(update={"created_at": "2031-01-01T00:00:00+00:00"})
    assert PartStore.of(url, later).names() == []


def test_many_threads_lose_nothing(url, run):
    store = PartStore.of(url, run.manifest)
    shard = StoredShard(store)

    def write(first):
        for row in range(first, first + 50):
            shard.record(row, outcome(row))
            if row % 7 == 0:
                shard.flush()

    threads = [threading.Thread(target=write, args=[50 * n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shard.close()
    assert sorted(rows(StoreFollower(store, shard.name, run.path))) == list(range(200))


@pytest.mark.parametrize("bad", ["sun://x/y", "s3a+://x"])
def test_an_address_of_no_known_kind_is_refused(bad, run):
    with pytest.raises(SetupError, match="--shards"):
        PartStore.of(bad, run.manifest)


def test_a_store_that_cannot_be_written_is_an_error_of_ours(run, tmp_path):
    (tmp_path / "taken").write_text("a file")
    shard = StoredShard(PartStore.of((tmp_path / "taken").as_uri(), run.manifest))
    shard.record(0, outcome(0))
    with pytest.raises(RunError, match="cannot write to file://"):
        shard.flush()
    assert shard.size == 0
    shard.close()
    assert not shard_path(run.path, shard.name).exists()
