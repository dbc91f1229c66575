"""Every page of Glider from templates: one base, one stylesheet, light and dark, all in one file.

A page is a Jinja2 template beside the code that fills it (`bench/page.html`, ...) and extends
`pages/base.html`. Autoescape is on: text reaches a page as text. What is markup says so
by its type (`Markup`): the charts of `svg.py` and marked texts. The policy in the base allows the
page's own script, by its hash, and no request to anywhere.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glider._version import __version__
from glider.pages import words


def render(template: str, *, title: str, **context: Any) -> str:
    """A whole page.

    Args:
        template: its path in the package: `bench/page.html`.
        title: heading and title, plain text.
        context: what the template shows. The base knows `facts`, short plain lines under the
            heading by their terms, and `scripts`, paths of further scripts in the package.
    """
    return "".join(stream(template, title=title, **context))


def stream(
    template: str,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    scripts: tuple[str, ...] = (),
    **context: Any,
) -> Iterator[str]:
    """The same page piece by piece, for one that is too large to be held."""
    script = "".join(resource(name) for name in ("pages/theme.js", *scripts))
    return _environment().get_template(template).generate(
        title=title,
        facts=facts or {},
        version=__version__,
        style=Markup(resource("pages/style.css")),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **context,
    )  # fmt: skip


def resource(name: str) -> str:
    """A text file of the package, by its path in it."""
    return files("glider").joinpath(name).read_text("utf-8")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("glider", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        name: getattr(words, name)
        for name in ("number", "signed", "count", "coverage", "share_of", "date", "slug", "brief",
                     "coded", "braced", "short", "p_value", "percent", "sentence")
    }  # fmt: skip
    return made
