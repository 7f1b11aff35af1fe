"""The page's elements: the serializer escapes whatever is put into them, text and attributes alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None
LINES = {"tr", "p", "li", "section", "details", "summary", "thead", "tbody", "table", "h2", "h3", "dt", "div", "hgroup"}
"""Each of these ends its line: the page can be read, and compared, as text."""


def tag(name: str, /, *children: Child, **attributes: str | int | None) -> Element:
    """An element; `class_` is class, `aria_label` aria-label, an attribute that is None is left out."""
    given = {key.rstrip("_").replace("_", "-"): str(value) for key, value in attributes.items() if value is not None}
    element = Element(name, {key: printable(value) for key, value in given.items()})
    for child in children:
        _append(element, child)
    if name in LINES:
        element.tail = "\n"
    return element


def _append(element: Element, child: Child) -> None:
    if isinstance(child, str):
        text = printable(child)
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text
    elif child is not None:
        element.append(child)


def printable(text: str) -> str:
    """Without control characters and halves of characters, which a page cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "?", text)


def html(root: Element) -> str:
    """The page as text."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def link(address: str) -> Element | str:
    """A link, where it is one to the web; what was seen elsewhere is told as it is."""
    return tag("a", address.removeprefix("https://"), href=address) if address.startswith("https://") else address


def breakable(name: str) -> Element:
    """A name with underscores, which may go on in the next line after each."""
    parts = name.split("_")
    children: list[Child] = [parts[0]]
    for part in parts[1:]:
        children += ["_", tag("wbr"), part]
    return tag("code", *children)


def spoken(text: str) -> Element:
    """Said by a screen reader, not shown."""
    return tag("span", text, class_="spoken")


def sentence(text: str) -> Element:
    """A docstring, its lines as wide as the page; what stands apart in it stays apart."""
    return tag("pre", "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")), class_="sentence")


def scrolled(table: Element, label: str) -> Element:
    """A table in a box of its own, which scrolls by finger, wheel and keyboard."""
    return tag("div", table, class_="box", tabindex=0, role="region", aria_label=label)


def listed(pairs: Iterable[tuple[str, Child | list[Child]]]) -> Element:
    """Terms, each with what belongs to it; those with nothing are left out."""
    items: list[Child] = []
    for term, said in pairs:
        if said is not None and said != "":
            items += [tag("dt", term), tag("dd", *(said if isinstance(said, list) else [said]))]
    return tag("dl", *items)
