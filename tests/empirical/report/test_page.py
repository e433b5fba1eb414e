"""The page about embeddings as text: what it says, what it holds, and that nothing of a user's becomes code."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from empirical.data.samples import read_samples
from empirical.report import write_report
from empirical.report.__main__ import main
from empirical.report.examination import examine
from empirical.report.page import TOP, beside, link, render, what_to_do
from empirical.report.pictures import MAP_POINTS, gallery, lay_out
from tests.empirical.report.examples import HOSTILE, NAMES, large, samples, small, with_pictures


class Page(HTMLParser):
    """Elements, their attributes, and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.scripts = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.elements and self.lasttag == "script":
            self.scripts[-1] += data
        elif self.lasttag != "style":
            self.text += data

    def handle_endtag(self, tag):
        if tag == "script":
            self.lasttag = ""

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def items(self):
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return Page(render(with_pictures(small(), folder), folder / "report.html"))


# --- what it says ----------------------------------------------------------------------------------


def test_the_page_says_what_was_found(page):
    found, words = small(), " ".join(page.text.split())
    assert found.verdict in words
    assert "What to do first" in words
    for line in what_to_do(found):
        assert line in words
    assert f"{100 * found.predicted_accuracy:.1f} %" in words
    assert found.profile.reading["line"] in words
    assert f"SHA-256 of features and labels: {found.samples.digest}" in words
    assert re.search(r"numpy \d+\.\d+", words)
    assert '"share": 0.08' in words
    for title in ("Pairs of classes", "Map", "Items", "Look-alikes", "Similarities", "Predicted accuracy"):
        assert title in words
    assert words.count("principal components") == 1


def test_the_table_holds_the_items_the_most_difficult_first(page):
    found, table = small(), small().frame()
    names = [column["name"] for column in page.items["columns"]]
    assert names == [name for name in table if name not in ("label", "image")]
    rows = pd.DataFrame(page.items["rows"], columns=names)
    expected = table.iloc[found.order].reset_index(drop=True)[names]
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False, rtol=1e-3)
    count = found.difficulty.difficult.sum()
    assert rows["difficult"][:count].all()
    assert not rows["difficult"][count:].any()
    assert rows["doubt"][:count].is_monotonic_decreasing


def test_without_labels_it_says_so(tmp_path, capsys):
    np.save(tmp_path / "f.npy", samples()[0])
    assert main(["--features", str(tmp_path / "f.npy"), "--classes", "3", "--out", str(tmp_path / "r.html")]) == 0
    words = Page((tmp_path / "r.html").read_text()).text
    assert "Pairs of classes need labels." in words
    assert "There is no prediction: it needs labels." in words
    assert "clusters in place of classes" in words
    assert capsys.readouterr().out.splitlines()[-1] == f"written: {tmp_path / 'r.html'}"


def test_a_weak_probe_is_named_on_the_page(tmp_path):
    features, labels = samples()
    features = np.random.default_rng(0).standard_normal(features.shape).astype(np.float32)
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "l.npy", labels)
    out = tmp_path / "r.html"
    assert main(["--features", str(tmp_path / "f.npy"), "--labels", str(tmp_path / "l.npy"), "--out", str(out)]) == 0
    page = Page(out.read_text())
    assert "Which are mislabelled is withheld: a held-out probe is right on" in page.text
    assert "mislabelled" not in [column["name"] for column in page.items["columns"]]


# --- that nothing becomes code ---------------------------------------------------------------------


def test_names_and_ids_are_text(page):
    assert HOSTILE in page.text
    assert len(page.all("script")) == 2
    assert all(element["src"].startswith("data:image/jpeg;base64,") for element in page.all("img"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert {row[1] for row in page.items["rows"]} == set(small().samples.ids)
    assert {row[2] for row in page.items["rows"]} == set(NAMES)


def test_nothing_is_fetched_and_no_other_script_runs(page):
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "audio", "video")
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
    assert not re.search(r"innerHTML|insertAdjacentHTML|eval\(|document\.write|fetch\(|XMLHttp", page.scripts[1])


def test_links_are_relative_whatever_files_are_called(page, tmp_path):
    links = page.items["links"]
    assert all(re.fullmatch(r"[\w.%-]+", one) for one in links)
    assert [unquote(one) for one in links] == [f"javascript:alert({row})%20#?.png" for row in small().order]
    (tmp_path / "a").mkdir()
    assert link(tmp_path / "ü x" / "p.png", tmp_path / "a" / "r.html") == "../%C3%BC%20x/p.png"


def test_figures_take_the_colour_of_the_page(page):
    figures = page.all("svg")
    assert len(figures) == 3
    text = render(small())
    assert text.count("currentColor") > 20
    assert "#010203" not in text
    kept = re.findall(r'<(?:path|clipPath|image|rect)[^>]* id="([^"]+)"', text)
    assert len(kept) == len(set(kept))


# --- pictures --------------------------------------------------------------------------------------


def test_the_gallery_shows_look_alikes_once_first(tmp_path):
    found = with_pictures(small(), tmp_path)
    couples, failed = gallery(found)
    assert failed == []
    assert len(couples) == 24
    table = found.pairs()
    fresh, used = [], set()
    for row in table.itertuples():
        if not {row.first, row.second} & used:
            fresh.append(row)
        used |= {row.first, row.second}
    assert [c.similarity for c in couples[: len(fresh)]] == [row.similarity for row in fresh[:24]]
    assert couples[0].first == f"{fresh[0].class_first} · {fresh[0].id_first}"


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    found = with_pictures(small(), tmp_path)
    broken = found.samples.pictures[found.difficulty.pairs.rows[0, 0]]
    broken.write_bytes(b"no picture")
    couples, failed = gallery(found)
    assert len(failed) == 1
    assert str(broken) in failed[0]
    assert len(couples) >= 20
    assert f"not shown: {failed[0]}" in Page(render(found)).text


def test_the_map_is_of_the_first_two_components():
    found = small()
    laid = lay_out(found)
    unit = found.samples.features.take(laid.rows).astype(float)
    centred = unit - unit.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(laid.points), np.abs(centred @ vectors[:2].T), atol=1e-5)
    assert f"{(values[:2] ** 2).sum() / (values**2).sum():.0%} of the variance" in laid.method


def test_the_map_is_by_umap_where_it_is_installed(monkeypatch):
    calls = []

    class UMAP:
        def __init__(self, **settings):
            calls.append(settings)

        def fit_transform(self, features):
            return features[:, :2] * 3

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    laid = lay_out(small())
    assert laid.method.startswith("UMAP")
    assert calls == [{"metric": "cosine", "n_neighbors": 15, "random_state": 0}]
    np.testing.assert_allclose(laid.points, 3 * small().samples.features.take(laid.rows)[:, :2])
    assert "items by UMAP of the cosines" in Page(render(small())).text


# --- many items ------------------------------------------------------------------------------------


def test_200000_items_stay_small_and_all_are_beside_the_page(tmp_path):
    found = large(200_000)
    written = write_report(found, tmp_path / "report.html")
    assert written == [tmp_path / "report.html", tmp_path / "report.items.parquet"]
    assert written[0].stat().st_size < 30e6
    page = Page(written[0].read_text())
    assert len(page.items["rows"]) == TOP
    assert "The 2,000 most difficult of 200,000 items; all are in report.items.parquet" in " ".join(page.text.split())
    assert f"{MAP_POINTS:,} random items" in page.text
    assert "sought in 7 of 100 cells of an index for each item, which finds 97.8 % of those" in page.text
    table = pd.read_parquet(written[1])
    assert len(table) == 200_000
    assert [row[0] for row in page.items["rows"]] == found.order[:TOP].tolist()
    assert table["doubt"].to_numpy()[found.order[:TOP]].min() > 0.8
    assert write_report(small(), tmp_path / "report.html") == [tmp_path / "report.html"]
    assert not written[1].exists()  # which was of another page


# --- the command -----------------------------------------------------------------------------------


def test_the_command_is_the_functions(tmp_path, capsys):
    features, labels = samples()
    frame = pd.DataFrame({"v": list(features), "class": NAMES[labels], "id": [f"<b id='{i}'>" for i in range(120)]})
    frame.to_parquet(tmp_path / "items.parquet")
    call = ["--features", str(tmp_path / "items.parquet"), "--label-column", "class", "--id-column", "id"]
    assert main([*call, "--out", str(tmp_path / "r.html")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{small().verdict}\nwritten: {tmp_path / 'r.html'}\n"
    assert err.startswith("read items.parquet: 3 classes")
    page = Page((tmp_path / "r.html").read_text())
    assert page.items["rows"] == Page(render(small())).items["rows"]


@pytest.mark.parametrize(
    ("out", "message"),
    [("r.txt", "out = r.txt violates a name that ends in .html or .htm"), ("f.npy", "f.npy"), ("no/r.html/x", ".html")],
)
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_done(out, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", samples()[0])
    assert main(["--features", "f.npy", "--out", out]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.npy"]


def test_the_table_beside_replaces_no_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"v": list(samples()[0])}).to_parquet(beside(tmp_path / "r.html"))
    before = beside(tmp_path / "r.html").read_bytes()
    assert main(["--features", "r.items.parquet", "--out", "r.html"]) == 2
    assert "r.items.parquet" in capsys.readouterr().err
    assert beside(tmp_path / "r.html").read_bytes() == before


def test_a_pair_that_too_few_samples_judge_says_so(tmp_path):
    """Of four classes of a hundred, two overlap by an interval that holds none and all."""
    generator = np.random.default_rng(0)
    y, centres = np.arange(400) % 4, 3 * np.eye(12)[:4]
    x = (centres[y] + generator.standard_normal((400, 12))).astype(np.float32)
    x[:60:4] += (centres[1] - centres[0]) / 2
    x[1:60:4] += (centres[0] - centres[1]) / 2
    found = examine(read_samples(x, y))
    undecided = [pair for pair in found.profile.pairs if pair.undecided]
    assert undecided
    write_report(found, tmp_path / "page.html", {})
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count('<td class="text">cannot tell</td>') == len(undecided)
