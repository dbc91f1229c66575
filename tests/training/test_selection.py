"""Choosing a part of the examples with a tiny model: what is measured, kept, and written."""

import json
import time

import forked
import pytest
from tiny_models import toy, write

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

from glider.core.errors import DataError, ManifestMismatch, RunError, SetupError, UnknownName
from glider.corpus.examples import format_of, read_examples
from glider.studies import SelectionSettings, select
from glider.studies.selecting.draws import by_ifd, d3, dependability, ifd, upd
from glider.studies.selecting.losses import TorchLosses
from glider.studies.selecting.select import Measure
from glider.training.base_model import find_base


@pytest.fixture
def data(data):
    settings = {"format": "nano", "order": "score-first"}
    (data / "manifest.json").write_text(json.dumps({"settings": settings}))
    (data / "card.md").write_text("# Training data\n")
    return data


def ids(folder, split="train"):
    return [example.id for example in read_examples(folder / f"{split}.jsonl.gz")]


def measured(folder):
    lines = (folder / "measures.jsonl").read_text().splitlines()
    return {one.id: one for one in map(Measure.model_validate_json, lines)}


def test_the_examples_of_the_highest_ifd_are_kept_in_their_order(tiny, data, tmp_path):
    found = select(data, tmp_path / "out", SelectionSettings(by="ifd", size=12, model=str(tiny)))
    every = list(read_examples(data / "train.jsonl.gz"))
    values = ifd(TorchLosses.of(find_base(str(tiny))), every)
    told = measured(tmp_path / "out")
    assert [told[e.id].value for e in every] == pytest.approx(values, rel=0.02)
    drawn = by_ifd(every, [told[e.id].value for e in every], 12)
    assert ids(tmp_path / "out") == [every[n].id for n in sorted(drawn.chosen)]
    assert found.size == len(drawn.chosen) > 0 and found.examples == 40
    assert found.dropped == dict(drawn.dropped)
    assert ids(tmp_path / "out", "dev") == ids(data, "dev")
    assert format_of(tmp_path / "out") == {"format": "nano", "order": "score-first"}
    card = (tmp_path / "out/card.md").read_text()
    assert card.startswith(
        f"# A selection\n\n{found.size} of 40 examples, those of the highest IFD"
    )
    assert card.endswith("# Training data\n")


def test_d3_takes_what_is_difficult_and_unlike(tiny, data, tmp_path):
    import numpy as np

    select(data, tmp_path / "out", SelectionSettings(by="d3", size=12, model=str(tiny)))
    every = list(read_examples(data / "train.jsonl.gz"))
    model = TorchLosses.of(find_base(str(tiny)))
    losses = model(every)
    difficulty = [upd(one, model.vocabulary) for one in losses]
    places = np.stack([one.embedding for one in losses]).astype(np.float16)
    trust = [dependability(example) for example in every]
    wanted = d3(difficulty, places, trust, 12)
    kept = {every[n].id for n in wanted.chosen}
    assert len(kept & set(ids(tmp_path / "out"))) >= 10  # half floats, and another batch


def test_another_size_is_drawn_of_the_same_measures(tiny, data, tmp_path, monkeypatch):
    select(data, tmp_path / "out", SelectionSettings(by="ifd", size=12, model=str(tiny)))
    monkeypatch.setattr(TorchLosses, "of", lambda base: pytest.fail("measured again"))
    before = set(ids(tmp_path / "out"))
    found = select(
        data, tmp_path / "out", SelectionSettings(by="ifd", size=5, model=str(tiny)), resume=True
    )
    assert found.size == 5 and set(ids(tmp_path / "out")) < before


def test_killed_it_goes_on_with_what_was_measured(tiny, data, tmp_path):
    write(data / "train.jsonl.gz", toy(1500))
    out = tmp_path / "out"
    how = SelectionSettings(by="ifd", size=20, model=str(tiny))
    process = forked.process(select, data, out, how)
    journal = out / "measures.jsonl"
    try:
        while not (journal.exists() and journal.stat().st_size) and process.is_alive():
            time.sleep(0.005)
    finally:
        process.kill()
        process.join()
        process.close()
    kept = journal.read_bytes().rpartition(b"\n")[0]
    assert kept and not (out / "train.jsonl.gz").exists()
    with pytest.raises(RunError, match="is not empty"):
        select(data, out, how)
    found = select(data, out, how, resume=True)
    assert journal.read_bytes().startswith(kept)
    assert len(measured(out)) == 1500 and found.size == len(ids(out))


def test_a_random_draw_asks_no_model(data, tmp_path):
    one, same, _other = (
        select(
            data, tmp_path / f"{n}", SelectionSettings(by="random", size=7, model="nope", seed=seed)
        )
        for n, seed in enumerate((1, 1, 2))
    )
    assert one == same and one.model == ""
    assert ids(tmp_path / "0") == ids(tmp_path / "1") != ids(tmp_path / "2")
    assert not (tmp_path / "0/measures.jsonl").exists()


def test_mistakes(tiny, data, tmp_path):
    with pytest.raises(SetupError, match="of 40: there are no more"):
        select(data, tmp_path / "out", SelectionSettings(by="random", size=40, model=""))
    with pytest.raises(UnknownName, match="no model called 'nope'"):
        select(data, tmp_path / "out", SelectionSettings(by="ifd", size=4, model="nope"))
    assert not (tmp_path / "out").exists()
    select(data, tmp_path / "out", SelectionSettings(by="random", size=4, model=""))
    with pytest.raises(ManifestMismatch, match="seed: 0 before, 1 now"):
        select(
            data,
            tmp_path / "out",
            SelectionSettings(by="random", size=4, model="", seed=1),
            resume=True,
        )
    (data / "manifest.json").unlink()
    with pytest.raises(DataError, match="no manifest of examples"):
        select(data, tmp_path / "out2", SelectionSettings(by="random", size=4, model=""))
