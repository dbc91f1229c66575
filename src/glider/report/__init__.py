"""Runs made readable for people."""

from glider.report.html import build_report

__all__ = ["build_report"]
