"""The data of named sets: fetched where asked, and told how where not."""

import pytest

from glider.bench.bench import choose_sets, with_data
from glider.bench.choose import choose
from glider.bench.settings import BenchSettings
from glider.core.errors import DataError
from glider.gold import suite


def test_a_set_of_the_hub_is_fetched_into_the_data_folder(tmp_path, monkeypatch):
    fetched = []

    def fetch(labelled, folder):
        fetched.append(labelled.hub)
        (folder / labelled.data.partition("::")[0]).mkdir()

    monkeypatch.setattr(suite, "fetch", fetch)
    names = ["glider_flask", "glider_biggen"]
    chosen = choose([*names, "llmbar"], tmp_path)
    with pytest.raises(DataError, match="the data folder has no glider-flask") as caught:
        with_data(chosen, names)
    assert caught.value.hint == "--fetch downloads it from the Hugging Face hub"
    told = []
    (tmp_path / choose(["llmbar"], tmp_path)[0].labelled.data).touch()
    how = BenchSettings(data=tmp_path)
    choose_sets([*names, "llmbar"], how, fetch=True, notify=told.append)
    assert fetched == [chosen[0].labelled.hub, chosen[1].labelled.hub]  # llmbar is on no hub
    assert told[0] == f"glider_flask: fetching {fetched[0]}"
    assert [each.labelled.name for each in with_data(chosen, names)] == [*names, "llmbar"]


def test_what_is_on_no_hub_is_not_said_to_be(tmp_path):
    with pytest.raises(DataError) as caught:
        with_data(choose(["glider_flask", "llmbar"], tmp_path), ["glider_flask", "llmbar"])
    assert "--list" in caught.value.hint
