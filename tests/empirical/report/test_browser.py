"""The page about embeddings in headless Chromium: sorting, searching, both styles, narrow and wide, no error."""

import re
import shutil
from contextlib import contextmanager
from urllib.parse import unquote, urlparse

import pytest

from empirical.report import write_report
from tests.empirical.report.examples import HOSTILE, large, small, with_pictures

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
ROWS = "#items tbody tr"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write_report(with_pictures(small(), folder), folder / "report.html")[0].as_uri()


@contextmanager
def opened(browser, address, width=1400, scheme="light"):
    """The page, which says nothing on the console, asks for nothing and raises no dialog."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(address)
    yield page
    assert said == [address]
    context.close()


def column(page, name):
    """The shown cells of a column, as text."""
    names = page.locator("#items thead th").all_inner_texts()
    place = [one.split()[0] for one in names].index(name) + 1
    return page.locator(f"{ROWS} td:nth-child({place})").all_inner_texts()


def head(page, name):
    return page.locator("#items thead button", has_text=re.compile(rf"^{name}$"))


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_styles_narrow_and_wide(browser, address, width, scheme):
    with opened(browser, address, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        ground, ink = (sum(map(int, colour[4:-1].split(","))) / 3 for colour in colours)
        assert (ground > 200 > 60 > ink) if scheme == "light" else (ink > 200 > 60 > ground)
        text = page.locator("#similarities svg text").first
        assert text.evaluate("e => getComputedStyle(e).fill") == colours[1]
        assert HOSTILE in page.locator("#verdict").inner_text()
        for picture in page.locator(".gallery img").all()[:4]:
            assert picture.evaluate("e => e.naturalWidth") == 112


def test_columns_sort_both_ways(browser, address):
    with opened(browser, address) as page:
        page.locator("#more").click()
        first = column(page, "doubt")
        assert len(first) == 120
        head(page, "doubt").click()
        values = [float(cell) for cell in column(page, "doubt")]
        assert values == sorted(values)
        assert page.locator("th[aria-sort=ascending]").count() == 1
        head(page, "doubt").click()
        assert [float(cell) for cell in column(page, "doubt")] == values[::-1]
        head(page, "difficult").click()  # flags begin with those that are set
        marked = column(page, "difficult")
        assert marked == sorted(marked, reverse=True)
        assert marked.count("yes") == small().difficulty.difficult.sum()
        head(page, "id").click()
        assert [int(cell.split("'")[1]) for cell in column(page, "id")] == list(range(120))  # 2 before 10
        assert page.locator("th[aria-sort]").count() == 1


def test_searching_and_choosing_what_is_shown(browser, address):
    with opened(browser, address) as page:
        counter, search = page.locator("#counter"), page.locator("#search")
        assert counter.inner_text() == "25 of 120 shown"
        search.fill("<SCRIPT> alert(1)")
        assert set(column(page, "class")) == {HOSTILE}
        assert counter.inner_text() == "25 of 40 shown"
        page.locator("#kind").select_option("difficult")
        expected = small().frame().query("difficult")
        assert sorted(column(page, "id")) == sorted(expected[expected["class"] == HOSTILE]["id"])
        assert page.locator("#more").is_hidden()
        search.fill("no such item")
        assert page.locator(ROWS).count() == 0
        assert counter.inner_text() == "0 of 0 shown"
        search.fill("")
        assert page.locator(ROWS).count() == len(expected)


def test_links_lead_to_the_pictures(browser, address, tmp_path):
    with opened(browser, address) as page:
        for anchor in page.locator(f"{ROWS} a").all()[:3]:
            target = urlparse(anchor.evaluate("e => e.href"))
            row = int(anchor.inner_text().split("'")[1])
            assert target.scheme == "file"
            assert unquote(target.path).endswith(f"/javascript:alert({row})%20#?.png")


def test_200000_items_are_usable(browser, tmp_path):
    page_file = write_report(large(200_000), tmp_path / "report.html")[0]
    with opened(browser, page_file.as_uri()) as page:
        assert page.locator("#counter").inner_text() == "25 of 2,000 shown"
        # One call, so that only the page's own work is timed.
        taken = page.evaluate("""() => {
            const start = performance.now();
            document.querySelectorAll("#items thead button").forEach(button => button.click());
            const search = document.getElementById("search");
            search.value = "sku-0001";
            search.dispatchEvent(new Event("input"));
            return performance.now() - start;
        }""")
        assert taken < 5_000
        assert 0 < page.locator(ROWS).count() <= 25
