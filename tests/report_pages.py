"""Parses the HTML of a report."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import unetv2
from unetv2.evaluation.report import interval

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Collects elements and text; fails if elements are not closed in order."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.words = []
        self._open = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def interval_text(low, high, **options):
    low, high = (None if math.isnan(bound) else bound for bound in (low, high))
    return interval({"low": low, "high": high}, **options)


def written(evaluations, path, **options):
    return Page(unetv2.write_report(evaluations, path, **options).read_text(encoding="utf-8"))
