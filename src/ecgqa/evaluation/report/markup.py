"""Small pieces of HTML; every text from data passes through `text`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ecgqa.evaluation.wording import number, span


def text(value: object) -> str:
    """Escaped for element content and attribute values; control characters made visible."""
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in str(value)
    )
    return escape(shown, quote=True)


def section(name: str, title: str, *parts: str) -> str:
    heading = f'<h2 id="{name}-title">{text(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{"".join(parts)}</section>'


def paragraph(content: str) -> str:
    return f"<p>{text(content)}</p>"


def cell(row: Mapping[str, Any], *, best: bool = False, note: str = "") -> str:
    """A score with its interval below it."""
    below = f"<small>{text(span(row))}</small>" if span(row) else ""
    extra = f"<small>{text(note)}</small>" if note else ""
    return f"<td{' class=best' if best else ''}>{number(row.get('value'))}{below}{extra}</td>"


def table(head: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]], *, caption: str, kind: str = "") -> str:
    """A scrollable table. rows: (row class, first cell's text, further cells as HTML)."""
    titles = "".join(f'<th scope="col">{_breakable(name)}</th>' for name in head)
    body = "".join(
        f'<tr{f" class={row_class}" if row_class else ""}><th scope="row">{text(first)}</th>{"".join(cells)}</tr>'
        for row_class, first, cells in rows
    )
    return (
        f'<p class="caption" aria-hidden="true">{text(caption)}</p>'  # outside, so that it does not scroll away
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="{kind}" aria-label="{text(caption)}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """Escaped, with a place to break after each underscore, so that names of runs do not widen a table."""
    return text(name).replace("_", "_<wbr>")


def plain(value: object) -> str:
    """A table cell with escaped text."""
    return f"<td>{text(value)}</td>"


def details(title: str, content: str) -> str:
    return f"<details><summary>{text(title)}</summary>{content}</details>"
