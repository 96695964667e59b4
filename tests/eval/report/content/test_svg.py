"""Several pictures in one page."""

import re

from eval.report.content.svg import as_data, inline

DRAWN = b"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
<metadata>made today</metadata><defs><style>*{stroke-linecap: butt}</style><path id="m(1)" d="M 0 0"/>
<clipPath id="clip"><rect/></clipPath></defs><g id="figure"><use xlink:href="#m(1)"/><g clip-path="url(#clip)"/>
<text style="font-size: 7px; font-family: 'DejaVu Sans', sans-serif; text-anchor: end">a &lt; b</text></g></svg>"""


def test_names_of_two_pictures_do_not_meet_and_references_find_them() -> None:
    page = inline(DRAWN, "p1", "one") + inline(DRAWN, "p2", "two")
    names = re.findall(r' id="([^"]*)"', page)
    assert len(names) == len(set(names)) == 4
    assert set(re.findall(r'href="#([^"]*)"', page)) | set(re.findall(r"url\(#([^)]*)\)", page)) == set(names)


def test_styles_of_the_whole_page_metadata_and_families_are_left_out_and_texts_stay() -> None:
    found = inline(DRAWN, "p", "α < β")
    for gone in ("<style", "metadata", "made today", "font-family", 'id="figure"', "<?xml"):
        assert gone not in found
    assert "font-size: 7px; text-anchor: end" in found
    assert "a &lt; b" in found


def test_what_is_read_in_its_place_cannot_break_the_page() -> None:
    assert 'role="img" aria-label="&lt;b&gt; &quot;x&quot;"' in inline(DRAWN, "p", '<b> "x"')
    assert str(as_data(b"\x00", '"<')) == '<img alt="&#34;&lt;" src="data:image/png;base64,AA==">'
