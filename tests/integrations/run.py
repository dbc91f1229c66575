"""Install each host in an environment of its own, run its tests there, write the table.

    python tests/integrations/run.py [HOST ...] [--venvs FOLDER] [--keep]

Without names it runs all. With --keep, environments that exist are used as they are.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs/integrations.md"
BEGIN, END = "<!-- begin: written by tests/integrations/run.py -->\n", "<!-- end -->"
COLUMNS = {
    "failure": "a failed judgment is",
    "coverage": "coverage is seen in",
    "spans": "spans arrive in",
    "queue": "32 calls in one queue",
    "recipe": "first verdict",
}


@dataclass
class Host:
    """A host, and what its environment needs."""

    title: str
    package: str
    also: list[str] = field(default_factory=list)
    npm: str | None = None


HOSTS = {
    "inspect_ai": Host("Inspect", "inspect-ai", ["trio"]),
    "deepeval": Host("deepeval", "deepeval", ["typesafe-sdk"]),
    "trl": Host("TRL", "trl"),
    "openevals": Host("openevals and LangSmith", "openevals", ["langsmith", "pandas"]),
    "promptfoo": Host("promptfoo", "glider-judge", npm="promptfoo@0.121.20"),
    "mlflow": Host("MLflow", "mlflow", ["openai"]),
    "litellm": Host("LiteLLM", "litellm", ["litellm[proxy]"]),
    "lm_eval": Host("lm-evaluation-harness", "lm-eval"),
    "phoenix": Host("Phoenix", "arize-phoenix-evals"),
    "guardrails_ai": Host("Guardrails AI", "guardrails-ai"),
    "any_guardrail": Host("any-guardrail", "any-guardrail"),
    "pytest": Host("pytest", "pytest"),
}


@cache
def wheel(folder: Path) -> str:
    """Glider as its users install it; an editable package has other names in some hosts."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("glider_judge-*.whl")
    return str(built)


def installed(name: str, host: Host, venvs: Path) -> Path:
    """The interpreter of the host's environment, made anew."""
    folder = venvs / name
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin/python"
    wanted = [host.package] if host.npm is None else []
    wanted = [wheel(venvs / "wheel"), *wanted, *host.also, "pytest", "pytest-timeout"]
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *wanted], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
    if host.npm is not None:
        subprocess.run(
            ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", host.npm],
            check=True,
        )
    return python


def run(name: str, host: Host, python: Path) -> dict | None:
    """What the host's tests have shown; None if one failed."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "shown.json")
        settings = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")
        }
        settings |= {
            "GLIDER_SHOWN": str(told), "GLIDER_HOST_PACKAGE": host.package,
            "PATH": f"{python.parent}:{python.parents[1] / 'node_modules/.bin'}:{os.environ['PATH']}",
        }  # fmt: skip
        if host.npm is not None:
            settings["GLIDER_HOST_VERSION"] = host.npm.rpartition("@")[2]
            settings["PROMPTFOO_PYTHON"] = str(python)
        command = [str(python), "-m", "pytest", "-c", "pytest.ini", f"test_host_{name}.py"]
        done = subprocess.run(command, cwd=HERE, env=settings)
        return json.loads(told.read_text("utf-8")) if done.returncode == 0 else None


def write_table(found: dict[str, dict]) -> None:
    """Replace the rows of these hosts; the others stay."""
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    table, after = rest.split(END, 1)
    rows = {match[1]: match[0] for match in re.finditer(r"^\| \[(.+?)\].*\n", table, re.M)}
    for name, told in found.items():
        host = HOSTS[name]
        anchor = host.title.lower().replace(" ", "-")
        cells = [told["shown"].get(column, "–") for column in COLUMNS]
        rows[host.title] = (
            f"| [{host.title}](#{anchor}) {told['version']} | {' | '.join(cells)} |\n"
        )
    head = f"| host | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}\n"
    ordered = [rows[host.title] for host in HOSTS.values() if host.title in rows]
    PAGE.write_text(before + BEGIN + head + "".join(ordered) + END + after, "utf-8")


def main() -> None:
    """Run the hosts that are named; end with 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", nargs="*", metavar="HOST", help=f"of {', '.join(HOSTS)}")
    parser.add_argument("--venvs", type=Path, default=ROOT / "build/integrations")
    parser.add_argument("--keep", action="store_true", help="use environments that exist")
    asked = parser.parse_args()
    if unknown := [name for name in asked.hosts if name not in HOSTS]:
        parser.error(f"no host {unknown[0]!r}; known: {', '.join(HOSTS)}")
    asked.venvs.mkdir(parents=True, exist_ok=True)
    venvs = asked.venvs.resolve()
    found, lost = {}, []
    for name in asked.hosts or HOSTS:
        host, python = HOSTS[name], venvs / name / "bin/python"
        print(f"== {host.title}", flush=True)
        if not (asked.keep and python.exists()):
            try:
                python = installed(name, host, venvs)
            except subprocess.CalledProcessError as error:
                print(f"{host.title} cannot be installed here: {error}")
                lost.append(name)
                continue
        told = run(name, host, python)
        if told is None:
            lost.append(name)
        else:
            found[name] = told
    write_table(found)
    print(f"{len(found)} hosts passed" + (f"; not: {', '.join(lost)}" if lost else ""))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
