"""The house rules a tool can hold: what an import costs and brings, and the public names."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_what_a_type_checker_sees_is_what_there_is():
    """Each name is written twice: for a type checker, and with the place it is imported from."""
    tree = ast.parse(Path(glider.__file__).read_text("utf-8"))
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }
    assert seen == glider._HOMES | {"__version__": "glider._version"}


def test_no_public_name_is_a_package():
    """`glider.audit` would be a function or a package, by what was imported before."""
    folder = Path(glider.__file__).parent
    packages = {p.name.removesuffix(".py") for p in folder.iterdir()}
    assert packages & set(glider.__all__) == set()


# Seconds of processor time, the least of three: a busy machine takes longer, not more. About three
# times what it takes on a quiet one.
@pytest.mark.parametrize(
    ("words", "seconds"), [(["--version"], 0.4), (["judge", "--help"], 0.8), (["--help"], 0.8)]
)
def test_a_command_starts_at_once(words, seconds):
    def taken():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "glider.cli.main", *words], check=True, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(taken() for _ in range(3)) < seconds


def test_a_command_imports_no_engine_before_it_runs():
    program = (
        "import sys; from importlib import import_module\n"
        "from glider.cli.commands import PANELS\n"
        "for commands in PANELS.values():\n"
        "    for module in commands.values(): import_module(module)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(ast.literal_eval(told.stdout)) <= {"typer", "rich"}


def test_only_the_trainer_imports_torch():
    """Making data, looking at a training, choosing examples and exporting ask for no torch."""
    program = (
        "import sys, pkgutil; from importlib import import_module\n"
        "for name in ('corpus', 'training', 'studies', 'release'):\n"
        "    room = import_module(f'glider.{name}')\n"
        "    for one in pkgutil.walk_packages(room.__path__, f'glider.{name}.'):\n"
        "        if one.name != 'glider.training.trainer':\n"
        "            import_module(one.name)\n"
        "print(len(sys.modules) > 100, [n for n in ('torch', 'transformers', 'trl', 'peft',"
        " 'datasets') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True []"


def test_no_two_files_of_tests_share_a_name():
    # pytest imports them by their bare names.
    names = [path.name for path in Path(__file__).parents[1].rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []
