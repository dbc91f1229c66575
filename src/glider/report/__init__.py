"""Reports: the figures of a run, and the page that shows them."""

from glider.report.html import build_report

__all__ = ["build_report"]
