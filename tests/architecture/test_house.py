"""The house rules a tool can hold: what an import costs and brings, and the public names."""

import subprocess
import sys

import glider

HEAVY = ("torch", "transformers", "vllm", "ray", "scipy", "pandas", "numpy", "xllamacpp", "aiohttp",
         "rich", "typer", "pyarrow", "gguf")  # fmt: skip


def test_importing_glider_is_light():
    program = (
        "import sys, time; start = time.perf_counter(); import glider\n"
        "print(time.perf_counter() - start)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    seconds, loaded = min(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for _ in range(3)
    )
    assert float(seconds) < 0.3
    assert loaded == "[]"


def test_using_a_judge_loads_no_engine():
    program = (
        "import sys; from glider import Judge, Sample, Criterion, load_criterion\n"
        "from glider.backends.scripted import ScriptedBackend\n"
        "Judge(ScriptedBackend([])); load_criterion('faithfulness')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_public_names_are_what_all_says():
    for name in glider.__all__:
        assert getattr(glider, name) is not None
    assert sorted(glider.__all__) == glider.__all__
    assert set(dir(glider)) == set(glider.__all__)
