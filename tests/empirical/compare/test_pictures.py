"""Pairs of the band and the most alike pairs, against loops over all pairs; what the figures show."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from empirical.compare.pictures import GALLERY, Gallery, difference_figures
from empirical.compare.report import touched, touching
from empirical.compare.results import Condition
from tests.empirical.compare.conftest import SMALL
from tests.empirical.compare.test_answer import BASE, experiment, plus, summary_of


def condition(n=60, images=True, texts=False, inapplicable=()):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, 5))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    evidence = {
        "features": features,
        "labels": np.arange(n) % 3,
        "difficult": rng.random(n) < 0.4,
        "images": rng.integers(0, 255, (n, 1, 4, 4)).astype(np.uint8) if images else np.empty((n, 0)),
        "class_names": np.array(["a", "<b>", "c"]),
        "texts": np.array([f"sentence {i}" for i in range(n)] if texts else [], dtype=str),
    }
    return Condition(0.0, {}, {}, dict.fromkeys(inapplicable, "a reason"), evidence), unit @ unit.T


def ends_of(pair):
    """Rows of a pair that is shown as texts."""
    return tuple(int(text.split()[1]) for text in pair.texts)


@pytest.mark.parametrize("band", [(0.8, 0.6), (0.3, -0.1), (1.0, 0.9)])
def test_pairs_of_the_band_by_rank_each_sample_once(band):
    found, similarities = condition(images=False, texts=True)
    n, (high, low) = len(similarities), band
    everything = sorted((similarities[i, j] for i in range(n) for j in range(i + 1, n)), reverse=True)
    inside = [value for value in everything if low < value <= high]
    shown = Gallery(found, similarities, band).in_band()
    assert 0 < len(shown) <= min(GALLERY, len(inside))
    rows = [row for pair in shown for row in ends_of(pair)]
    assert len(rows) == len(set(rows))
    positions = []
    for pair in shown:
        i, j = ends_of(pair)
        assert pair.cosine == similarities[i, j]
        assert pair.touched
        assert pair.rank == sum(value > pair.cosine for value in everything) / len(everything)
        assert pair.across == (i % 3 != j % 3)
        hard = found.evidence["difficult"]
        assert pair.difficult == (pair.across and hard[i] and hard[j])
        positions.append(inside.index(pair.cosine) / len(inside))
    if len(inside) > 40 * GALLERY:  # room for one in each twelfth
        assert [int(GALLERY * place) for place in positions] == list(range(GALLERY))


def test_the_most_alike_pairs_of_different_classes_are_those_of_a_greedy_loop():
    found, similarities = condition(images=False, texts=True)
    n, used, expected = len(similarities), set(), []
    pairs = [(similarities[i, j], i, j) for i in range(n) for j in range(i + 1, n) if i % 3 != j % 3]
    for _, i, j in sorted(pairs, reverse=True):
        if not used & {i, j} and len(expected) < GALLERY:
            used |= {i, j}
            expected.append((i, j))
    shown = Gallery(found, similarities, (0.95, 0.9)).most_alike()
    assert [ends_of(pair) for pair in shown] == expected
    assert [pair.touched for pair in shown] == [0.9 < similarities[i, j] <= 0.95 for i, j in expected]


@pytest.mark.parametrize(
    ("images", "texts", "shows"), [(True, False, "image"), (False, True, "text"), (False, False, None)]
)
def test_images_texts_or_nothing_are_shown(images, texts, shows):
    found, similarities = condition(images=images, texts=texts)
    for evidence in (found.evidence, {k: v for k, v in found.evidence.items() if k != "texts" or texts}):
        gallery = Gallery(replace(found, evidence=evidence), similarities, (0.8, 0.6))
        assert gallery.shows == shows
        for pair in gallery.in_band():
            assert bool(pair.texts) == (shows == "text")
            assert (pair.left is not None) == (pair.right is not None) == (shows == "image")
    if shows == "image":
        with Image.open(io.BytesIO(base64.b64decode(gallery.in_band()[0].left.partition(",")[2]))) as image:
            assert image.size == (112, 112)


def test_how_many_of_the_shown_pairs_the_remedies_touch():
    arms = (
        "baseline",
        "margin",
        "combined_random",
        "combined_projector",
        "paper_combined",
        "sample_removal",
        "pair_removal",
    )
    e = replace(SMALL, arms=arms, stated="cifar10")
    found, similarities = condition(inapplicable=["pair_removal"])
    assert touching(e, found) == ["margin"]
    band = (0.8, 0.6)
    gallery = Gallery(found, similarities, band)
    inside, alike = gallery.in_band(), gallery.most_alike()
    first, second = touched(e, found, inside, alike, band)
    across = sum(pair.across for pair in inside)
    assert first.startswith(f"Shown are {len(inside)} pairs, evenly over the band by their rank of similarity")
    assert "the remedies (margin) touch all of them" in first
    assert f"{across} of the {len(inside)} are of different classes" in first
    assert f"{len(inside) - across} of one class" in first
    there = sum(0.6 < pair.cosine <= 0.8 for pair in alike)
    above = sum(pair.cosine > 0.8 for pair in alike)
    assert f"the remedies touch {there or 'none'}: {above or 'none'} are above the band" in second
    lonely = touched(replace(e, arms=("baseline", "sample_removal")), found, inside, alike, band)
    assert "a remedy of pairs, had one been trained, touches all" in lonely[0]
    assert touched(e, found, [], [], band) == ["No pair of these samples lies in the band."]


def test_marks_are_filled_where_a_difference_is_beyond_chance_and_two_seeds_have_no_line():
    e = experiment(8, "margin", "combined")
    runs = {(0.0, "baseline"): BASE, (0.0, "margin"): plus(0, 0.01), (0.0, "combined"): plus(0.02)}
    (figure,) = difference_figures(e, summary_of(e, runs)).values()
    assert figure.count("fill: #cc79a7; stroke: #cc79a7") == 1  # combined
    assert figure.count("fill: #ffffff; stroke: #0072b2") == 1  # margin
    two = experiment(2, "margin", "combined")
    few = summary_of(two, {key: values[:2] for key, values in runs.items()})
    (figure,) = difference_figures(two, few).values()
    assert "fill: #cc79a7" not in figure
    assert figure.count("fill: #ffffff; stroke: #cc79a7") == 2
