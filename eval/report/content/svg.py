"""Pictures inside a page: an SVG among others, whose names for its parts must not meet those of another."""

import base64
import re
from xml.etree import ElementTree

from markupsafe import Markup

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
LEFT_OUT = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
"""What says where a file comes from, and styles that would hold for the whole page."""
STYLE = "stroke-linejoin:round;stroke-linecap:butt"
"""In place of the style that matplotlib writes into its files."""
OF_NAME = re.compile(r"url\(#([^)]+)\)")

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def inline(picture: bytes, name: str, alt: str) -> Markup:
    """An SVG file as part of a page.

    Args:
        picture: the file.
        name: that no other picture of the page has.
        alt: what is read in its place.
    """
    root = ElementTree.fromstring(picture)
    for parent in root.iter():
        for child in [child for child in parent if child.tag in LEFT_OUT]:
            parent.remove(child)
    for element in root.iter():
        _rename(element, name)
    root.set("style", STYLE)
    root.set("role", "img")
    root.set("aria-label", alt)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704: every text in it is escaped


def as_data(picture: bytes, alt: str) -> Markup:
    """A PNG file as part of a page."""
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, base64.b64encode(picture).decode())


def _rename(element: ElementTree.Element, name: str) -> None:
    """Let the names that an element has, and those that it refers to, begin with that of the picture."""
    for key, value in element.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, OF_NAME.sub(rf"url(#{name}-\1)", value))
