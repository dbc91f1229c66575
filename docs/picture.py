"""The picture of a report in the README: one judgment of the demo with its highlight.

    python docs/picture.py [RUN]

RUN is the folder of a `glider demo` run; without it the demo is run first. Needs playwright and
Chromium. The judgment is of the planted fault that the judge found most clearly, by its expected
value; that it finds few of them stands in the report itself.
"""

import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

from glider.cli.demo import demo
from glider.report import build_report
from glider.report.planted import planted_figures

PICTURE = Path(__file__).with_name("images") / "report.png"
MOST_BYTES = 200_000


def main(run: Path | None) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = run or Path(name) / "demo"
        if run is None:
            demo(folder)
        figures = planted_figures(folder)
        all_found = [v for v in figures.verdicts if v.found] if figures else []
        found = min(all_found, key=lambda v: v.expected or 0.0, default=None)
        if found is None:
            raise SystemExit(f"{folder}: no planted fault was found, so there is none to show")
        page = Path(name) / "report.html"
        build_report(folder, page)
        shoot(page, urlencode({"row": found.row, "criterion": found.fault.criterion}))
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")
    if PICTURE.stat().st_size > MOST_BYTES:
        raise SystemExit(f"that is more than {MOST_BYTES:,}")


def shoot(page: Path, judgment: str) -> None:
    """Open one judgment of a report and keep what is seen of it."""
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        tab.goto(f"{page.as_uri()}#{judgment}")
        tab.wait_for_selector("dialog[open]")
        tab.locator("dialog").screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
