"""The frame of a page: one self-contained HTML file with sections and links to them."""

from collections.abc import Sequence
from html import escape
from importlib import resources

POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Content security policy: even a mistake could load nothing from the network."""
ICON = (
    "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E"
    "%3Ccircle cx=%225.5%22 cy=%228%22 r=%225%22 fill=%22%230a6fb3%22/%3E"
    "%3Ccircle cx=%2210.5%22 cy=%228%22 r=%225%22 fill=%22%23cf5b00%22 fill-opacity=%22.75%22/%3E%3C/svg%3E"
)

Section = tuple[str, str, str, str]
"""Anchor, short title, title, body (HTML)."""


def document(
    title: str, head: str, sections: Sequence[Section], created: str = "", credit: str = "", scripts: str = ""
) -> str:
    """A page that loads nothing from the network: `head` (HTML), links to the sections, and the sections."""
    links = "".join(f'<li><a href="#{name}">{short}</a></li>' for name, short, _, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{words}</h2>{text}</section>' for name, _, words, text in sections)
    style = resources.files("twofold.report").joinpath("style.css").read_text(encoding="utf-8")
    when = f" · {escape(created)}" if created else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)}</title><link rel="icon" href="{ICON}"><style>{style}</style></head><body>'
        f'{head}<nav class="contents" aria-label="Contents"><ul>{links}</ul></nav><main>{body}</main>'
        f"<footer>Made by twofold{when}. This file is complete in itself and loads nothing from the network."
        f"{credit}</footer>{scripts}</body></html>\n"
    )
