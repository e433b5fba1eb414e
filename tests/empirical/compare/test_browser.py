"""The report of a comparison in headless Chromium: narrow and wide, light and dark, by keyboard, no error."""

import pytest

from tests.empirical.report.test_browser import CHROMIUM, browser, opened  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def address(finished):
    return finished[1].as_uri()


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_styles_narrow_and_wide(browser, address, width, scheme):  # noqa: F811
    with opened(browser, address, width, scheme) as page:
        for box in page.locator("details").all():
            box.evaluate("e => e.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        ground, ink = (sum(map(int, colour[4:-1].split(","))) / 3 for colour in colours)
        assert (ground > 200 > 60 > ink) if scheme == "light" else (ink > 200 > 60 > ground)
        text = page.locator(".effects svg text").first
        assert text.evaluate("e => getComputedStyle(e).fill") == colours[1]
        assert page.locator("#answer").bounding_box()["y"] < 300
        for picture in page.locator(".gallery img").all()[:4]:
            assert picture.evaluate("e => e.naturalWidth") == 112


def test_contents_tables_and_folds_are_reached_by_keyboard(browser, address):  # noqa: F811
    with opened(browser, address, 390) as page:
        seen = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
        assert {"A.", "DIV.scroll", "SUMMARY."} <= seen
        page.locator("summary", has_text="All settings").focus()
        page.keyboard.press("Enter")
        assert page.locator("details[open] pre").is_visible()
        page.locator("nav a").last.focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.url.endswith("#settings")
