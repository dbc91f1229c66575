"""The frame of a page without data of its own: heading, body, theme, colophon; loads nothing.

Bench, audit and calibration are such pages. The body is HTML and its makers escape other people's
text; the policy forbids every script but the one that switches the theme, and every request.
"""

import base64
import hashlib
from html import escape
from importlib.resources import files
from string import Template

from glider._version import __version__

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; \
form-action 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-$digest'; \
require-trusted-types-for 'script'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Glider">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$css</style>
<script>$script</script>
</head>
<body>
<div class="page">
<header class="masthead">
  <div class="bar">
    <span class="brand"><svg viewBox="0 0 32 16" width="32" height="16" aria-hidden="true">\
<path d="M1 11C9 9.6 12.4 6.5 16 2c3.6 4.5 7 7.6 15 9-6-.4-10.6-.4-15 2.6C11.6 10.6 7 \
10.6 1 11Z" fill="currentColor"/></svg> Glider</span>
    <button type="button" class="quiet" id="theme" aria-label="Switch between light and dark">\
Light / dark</button>
  </div>
  <h1 dir="auto">$title</h1>
  $about
</header>
<main>
$body
</main>
<footer><p>Made by Glider $version. This page is complete in itself: it loads nothing and sends \
nothing.</p>$colophon</footer>
</div>
</body>
</html>
""")


def shell(
    title: str,
    body: str,
    *,
    facts: dict[str, str] | None = None,
    colophon: str = "",
    css: str = "",
) -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML, as a rule some `<section>`s, each with its `<h2>`.
        facts: short lines under the heading, plain text: date, judge, rows, ...
        colophon: HTML below everything.
        css: rules of this page's own, after the shared ones.
    """
    resources = files("glider.pages")
    shared = "".join(resources.joinpath(n).read_text("utf-8") for n in ("page.css", "charts.css"))
    script = resources.joinpath("theme.js").read_text("utf-8")
    listed = "".join(
        f'<div><dt>{escape(term)}</dt><dd dir="auto">{escape(said)}</dd></div>'
        for term, said in (facts or {}).items()
        if said
    )
    return _PAGE.substitute(
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=escape(title),
        css=shared + css,
        script=script,
        about=f'<dl class="about">{listed}</dl>' if listed else "",
        body=body,
        version=escape(__version__),
        colophon=colophon,
    )
