"""`glider doctor` and `glider models --verify` on this machine, with the real engine."""

import json

import pytest
from in_process import glider

from glider.core.errors import ModelFileError
from glider.models.catalog import find


@pytest.fixture(autouse=True)
def model():
    try:
        return find("glider-nano")
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")


def test_what_is_here_and_how_fast_it_is(tmp_path):
    done = glider("doctor", "--json", "--seconds", "1", cwd=tmp_path, env={"OPENAI_API_KEY": "x"})
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["engine"] and found["cores"] >= 1 and found["cache_writable"]
    assert {"name": "glider-nano", "state": "here"}.items() <= found["models"][0].items()
    assert found["endpoint_key"] is True and "x" not in done.stdout.split('"endpoint_key"')[1][:9]
    speed = found["speed"]
    assert speed["judge"].startswith("embedded/glider-nano@") and speed["read_tokens_per_s"] > 0
    assert speed["seconds"] >= 1 and speed["finished"] >= 1 and speed["written_tokens_per_s"] > 0
    assert speed["judgments_per_minute"] >= 60 * speed["finished"] / speed["seconds"] - 0.1
    told = glider("doctor", "--seconds", "0", cwd=tmp_path)
    assert "model     glider-nano: here, 145 MB" in told.stdout and "speed" not in told.stdout


def test_what_is_missing_comes_with_the_line_that_mends_it(tmp_path):
    empty = {"GLIDER_CACHE": str(tmp_path / "none")}
    done = glider("doctor", cwd=tmp_path, env=empty)
    assert done.returncode == 4
    # Extras that are not installed are told after it: how many depends on the machine.
    told = done.stdout.splitlines()
    needed = [at for at, line in enumerate(told) if line.startswith("needed ")]
    assert [told[at].split(": ")[0] for at in needed] == ["needed    model glider-nano"]
    mend = told[needed[0] + 1].strip()
    assert mend == "glider judge --output 'Open at nine.' --criterion conciseness"
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    done = glider("doctor", "--json", cwd=tmp_path, env={"GLIDER_CACHE": str(tmp_path / "file/x")})
    found = json.loads(done.stdout)
    assert done.returncode == 4 and not found["cache_writable"]
    assert "export GLIDER_CACHE=FOLDER" in {one["mend"] for one in found["missing"]}


def test_every_byte_of_a_model_is_checked_where_that_is_asked_for(tmp_path, model):
    cache = tmp_path / "cache"
    place = cache / "models/glider-nano"
    place.mkdir(parents=True)
    for name in (model.path.name, model.path.with_suffix(".json").name):
        (place / name).write_bytes((model.path.parent / name).read_bytes())
    verified = glider("models", "--verify", cwd=tmp_path, env={"GLIDER_CACHE": str(cache)})
    assert verified.returncode == 0
    assert "glider-nano  (default)  Apache-2.0  present, verified" in verified.stdout
    with (place / model.path.name).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f" if file.read(1) != b"\x7f" else b"\x00")
    done = glider("models", "--verify", cwd=tmp_path, env={"GLIDER_CACHE": str(cache)})
    assert done.returncode == 4
    assert "glider-nano  (default)  Apache-2.0  DAMAGED" in done.stdout
