"""Pictures inside a page: an SVG among others, whose names for its parts must not meet those of another."""

import base64
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from markupsafe import Markup

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
LEFT_OUT = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
"""What says where a file comes from, and styles that would hold for the whole page."""
STYLE = "stroke-linejoin:round;stroke-linecap:butt"
"""In place of the style that matplotlib writes into its files."""
FAMILY = re.compile(r"font-family:[^;]*;?\s*")
REFERENCES = ("href", f"{{{XLINK}}}href")
OF_NAME = re.compile(r"url\(#(.+)\)")

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
    names = {used: f"{name}-{number}" for number, used in enumerate(_used(root))}
    for element in root.iter():
        _rename(element, names)
        _inherit_letters(element)
    root.set("style", STYLE)
    root.set("role", "img")
    root.set("aria-label", alt)
    # Every text in it is escaped, being read and written as XML.
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def as_data(picture: bytes, alt: str) -> Markup:
    """A PNG file as part of a page."""
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, base64.b64encode(picture).decode())


def _used(root: ElementTree.Element) -> list[str]:
    """The names that an element refers to."""
    found = (_referred(key, value) for element in root.iter() for key, value in element.items())
    return list(dict.fromkeys(name for name in found if name))


def _referred(key: str, value: str) -> str:
    if key in REFERENCES and value.startswith("#"):
        return value[1:]
    found = OF_NAME.fullmatch(value)
    return found[1] if found else ""


def _rename(element: ElementTree.Element, names: Mapping[str, str]) -> None:
    """Give the element, and those that it refers to, their new names; a name that nothing refers to is dropped."""
    for key, value in [*element.items()]:
        if key == "id" and value in names:
            element.set(key, names[value])
        elif key == "id":
            del element.attrib[key]
        elif name := _referred(key, value):
            element.set(key, f"#{names[name]}" if key in REFERENCES else f"url(#{names[name]})")


def _inherit_letters(element: ElementTree.Element) -> None:
    """Leave the family of letters to the page, which repeats a long list of them at each word."""
    if style := element.get("style"):
        element.set("style", FAMILY.sub("", style))
