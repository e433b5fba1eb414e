"""The contest: feature sets, what is measured on them, the table; and one small contest from end to end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from empirical.contest import contest, makers
from empirical.contest.__main__ import main
from empirical.contest.makers import MAKERS, Bench, Halved, encoded
from empirical.contest.rivals import PREDICTIONS, rivals
from empirical.contest.scores import DRAWS_SEED, few_least_squares, least_squares
from empirical.contest.sets import DIGITS, FAMILIES, PHOTOS, UNLIKE, Recipe, recipes
from empirical.contest.table import order, resampled, table
from empirical.data import load
from empirical.data.augment import to_float
from theory.checks import ParameterError

RESULTS = Path(__file__).parents[2] / "results"
FEW_ROWS = ["--labelled", "150", "--others", "100", "--test", "120"]
SMALL = ["--data", "digits", *FEW_ROWS, "--families", "pixels", "pca", "patches"]


def ignored(*_):
    """Progress that nobody follows."""


@pytest.fixture
def bench(tmp_path):
    return Bench("digits", replace(DIGITS, labelled=200, others=100), 150, tmp_path)


# --- who takes part --------------------------------------------------------------------------------


@pytest.mark.parametrize(("chosen", "fewest"), [(DIGITS, 18), (PHOTOS, 20)])
def test_every_family_is_known_and_every_set_has_a_name_of_its_own(chosen, fewest):
    found = recipes(chosen, None)
    assert len({recipe.name for recipe in found}) == len(found) >= fewest
    assert {recipe.family for recipe in found} <= set(FAMILIES)
    assert set(FAMILIES) == set(MAKERS)
    assert [recipe.name for recipe in recipes(chosen, ["pca"])] == [f"pca-{k}" for k in chosen.recipes["pca"]]


def test_every_rival_foretells_one_of_two_accuracies():
    found = rivals()
    assert len({rival.name for rival in found}) == len(found)
    assert [rival.name for rival in found if rival.accuracy] == list(PREDICTIONS)
    assert {rival.measured for rival in found} == {"probe", "probe_few"}
    assert {"bound", "delta", "rankme"} <= {rival.name for rival in found}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", bytes(range(256))])
def test_a_damaged_record_counts_as_none_with_a_word(bench, content):
    making = contest.Making(bench, recipes(DIGITS, ["pca"])[0])
    measuring = contest.Measuring(bench, "x")
    assert not making.finished
    for path in (making.record, *(measuring.record(part) for part in contest.PARTS)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"sets": []}')
    assert making.finished
    assert measuring.missing == []
    making.record.write_bytes(content)
    measuring.record("measured").write_bytes(content)
    with pytest.warns(UserWarning, match=r"\.json .*: it is done again$"):
        assert not making.finished
    with pytest.warns(UserWarning, match=r"measured\.json .*: it is done again$"):
        assert measuring.missing == ["measured"]


def test_digits_are_in_random_halves():
    images, whole = Halved(data="digits").original_data_set(), load("digits")
    assert (len(images.y_train), len(images.y_test)) == (898, 899)
    assert np.ptp(np.bincount(images.y_train)) <= 1
    parts = torch.cat([images.x_train, images.x_test]).flatten(1), torch.cat([whole.x_train, whole.x_test]).flatten(1)
    first, second = (part.numpy()[np.lexsort(part.numpy().T)] for part in parts)
    assert (first == second).all()
    small = Halved(data="digits", train=100, test=60).original_data_set()
    assert torch.equal(small.x_train, images.x_train[:100])
    assert torch.equal(small.x_test, images.x_test[:60])


# --- encoders --------------------------------------------------------------------------------------


def test_pixels_are_averaged_over_squares(bench):
    x = bench.images.x_train[:5]
    found = encoded(MAKERS["pixels"](bench, Recipe("pixels", 4), ignored), x)[""]
    squares = x.numpy()[:, 0].reshape(5, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(5, 16) / 255 - 0.5
    np.testing.assert_allclose(found, squares, atol=1e-6)


def test_pca_keeps_the_largest_variances(bench):
    x = to_float(bench.images.x_train).flatten(1).numpy().astype(float)
    found = encoded(MAKERS["pca"](bench, Recipe("pca", 3), ignored), bench.images.x_train)[""]
    largest = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), largest, rtol=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)


def test_patches_are_sums_over_quadrants_of_closeness_to_clusters(bench, monkeypatch):
    """With whitening and clusters replaced, against loops over positions and clusters."""
    monkeypatch.setattr(makers, "WHITENING", 0.5)
    encode = MAKERS["patches"](bench, Recipe("patches", 5), ignored)
    x = to_float(bench.images.x_train[:2])
    names = encode.__code__.co_freevars
    inside = dict(zip(names, (cell.cell_contents for cell in encode.__closure__), strict=True))
    side, clusters = inside["side"], inside["clusters"].numpy()
    assert side == 3
    assert clusters.shape == (5, 9)
    for image, found in zip(x.numpy(), encode(x)[""].numpy(), strict=True):
        closeness = np.zeros((5, 6, 6))
        for r in range(6):
            for c in range(6):
                patch = image[0, r : r + 3, c : c + 3].flatten()
                patch = (patch - patch.mean()) / np.sqrt(patch.var() + makers.REGULARISER)
                white = (patch - inside["mean"].numpy()) @ inside["whiten"].numpy()
                distances = np.linalg.norm(white - clusters, axis=1)
                closeness[:, r, c] = np.maximum(distances.mean() - distances, 0)
        quadrants = [closeness[:, r : r + 3, c : c + 3].mean(axis=(1, 2)) for r in (0, 3) for c in (0, 3)]
        np.testing.assert_allclose(found, np.stack(quadrants, axis=1).flatten(), atol=1e-4)


def test_networks_learn_with_the_epochs_and_simclr_has_two_spaces(bench):
    images = bench.images
    scores = []
    for epochs in (1, 60):
        encode = MAKERS["supervised"](bench, Recipe("supervised", epochs), ignored)
        x, test = (encoded(encode, part)[""] for part in (images.x_train[:200], images.x_test))
        scores.append(least_squares(x, images.y_train[:200].numpy(), test, images.y_test.numpy()))
    assert scores[1] > scores[0] + 0.03
    torch.manual_seed(1)  # whatever was drawn before, the same command gives the same features
    again = encoded(MAKERS["supervised"](bench, Recipe("supervised", 60), ignored), images.x_test)[""]
    np.testing.assert_array_equal(again, test)
    found = encoded(MAKERS["simclr"](bench, Recipe("simclr", 1), ignored), images.x_test)
    assert {space: rows.shape for space, rows in found.items()} == {"encoder": (150, 64), "projector": (150, 16)}


# --- probes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [3, 80])  # fewer features than samples, and more
def test_least_squares(width):
    generator = np.random.default_rng(0)
    labels, test_labels = np.arange(60) % 3, np.arange(90) % 3
    centres = generator.normal(size=(3, width))
    x, test = (c + 1.5 * generator.normal(size=c.shape) for c in (centres[labels], centres[test_labels]))
    x, test = (np.column_stack([part, np.full(len(part), 7.0)]) for part in (x, test))  # and a constant one
    scaled = (x - x.mean(axis=0))[:, :width] / x.std(axis=0)[:width]
    targets = np.eye(3)[labels]
    weights = np.linalg.pinv(scaled) @ (targets - targets.mean(axis=0))
    outputs = ((test - x.mean(axis=0))[:, :width] / x.std(axis=0)[:width]) @ weights + targets.mean(axis=0)
    expected = (outputs.argmax(axis=1) == test_labels).mean()
    assert 0.4 < expected < 1
    assert least_squares(np.float32(x), labels, np.float32(test), test_labels) == pytest.approx(expected, abs=0.012)


def test_few_labels_are_those_of_the_linear_probe(monkeypatch):
    """Both draw the same samples: seen by what is fitted."""
    from empirical.contest import scores
    from empirical.evaluate import probes

    labels, drawn = np.repeat(np.arange(3), 30), []
    x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    monkeypatch.setattr(scores, "least_squares", lambda features, *_: drawn.append(features) or 0.5)
    assert few_least_squares(x, labels, x, labels) == 0.5
    generator = np.random.default_rng(DRAWS_SEED)
    expected = np.concatenate([generator.choice(np.flatnonzero(labels == c), 10, replace=False) for c in range(3)])
    np.testing.assert_array_equal(drawn[0], x[expected])
    assert len(drawn) == scores.DRAWS
    assert probes.DRAWS_SEED == DRAWS_SEED


# --- the table -------------------------------------------------------------------------------------


def test_order_of_pairs_more_than_two_points_apart():
    generator = np.random.default_rng(0)
    truth, better = generator.uniform(0.5, 0.7, 30), generator.normal(size=30).round(1)
    pairs = right = 0
    for i in range(30):
        for j in range(i):
            if abs(truth[i] - truth[j]) > 0.02:
                pairs += 1
                right += (truth[i] - truth[j]) * (better[i] - better[j]) > 0  # a tie is not right
    assert order(better, truth) == (pairs, pytest.approx(right / pairs))
    assert order(truth, truth)[1] == 1
    assert order(-truth, truth)[1] == 0
    assert order(truth, np.full(30, 0.5)) == (0, None)


def test_a_line_is_what_its_numbers_say():
    generator = np.random.default_rng(1)
    probe = generator.uniform(0.3, 0.9, 20)
    rows = pd.DataFrame({"name": range(20), "family": "pca", "probe": probe, "probe_seconds": 2.0})
    rows = rows.assign(least_squares=probe - 0.01)
    rows = rows.assign(gaussian=probe + 0.03 * np.where(np.arange(20) % 2, 1, -1), gaussian_seconds=0.5)
    rows = rows.assign(gaussian_low=rows.gaussian - 0.01, gaussian_high=probe, delta=-probe, delta_seconds=4.0)
    rows.loc[0, "gaussian"] = np.nan
    by_name = {line["name"]: line for line in table(rows)}
    assert set(by_name) == {"gaussian", "delta"}
    found = by_name["gaussian"]
    assert (found["sets"], found["without"], found["time"]) == (19, 1, 0.25)
    assert found["error"] == pytest.approx(3)
    assert found["largest"] == pytest.approx(3)
    assert found["bias"] == pytest.approx(3 * (10 - 9) / 19)
    assert found["error_least_squares"] == pytest.approx((10 * 4 + 9 * 2) / 19)
    assert found["covered"] == pytest.approx(9 / 19)  # predictions below the probe reach up to it
    kept = rows.dropna()
    assert found["rho"] == pytest.approx(stats.spearmanr(kept.gaussian, kept.probe)[0])
    assert found["low"] < found["rho"] <= found["high"]
    assert by_name["delta"]["rho"] == pytest.approx(1)  # the smaller, the better
    assert by_name["delta"]["error"] is None
    assert by_name["delta"]["time"] == 2


def test_the_interval_of_an_error_holds_its_mean_and_narrows():
    values = np.random.default_rng(0).exponential(size=400)
    wide, narrow = resampled(values[:25]), resampled(values)
    assert wide[0] < values[:25].mean() < wide[1]
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 2
    assert resampled(np.full(5, 2.0)) == (2, 2)


# --- the command -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("contest")
    assert main([*SMALL, "--out", str(out / "run"), "--publish", str(out / "found")]) == 0
    return out


def test_a_contest(run):
    rows = pd.read_csv(run / "found.csv")
    names = [recipe.name for recipe in recipes(DIGITS, ["pixels", "pca", "patches"])]
    assert list(rows.name) == names
    assert rows.probe.between(0.1, 1).all()
    assert rows.set_index("name").probe["pca-32"] > rows.set_index("name").probe["pca-2"] + 0.1
    document = json.loads((run / "found.json").read_text(encoding="utf-8"))
    assert document["sets"] == len(names)
    assert document["settings"]["labelled"] == 150
    assert document["test_images"] == 120
    assert document["table"] == table(rows)


def test_the_same_command_goes_on_and_repeats_nothing(run, capsys):
    sets = run / "run" / "sets"
    before = (run / "found.csv").read_text(encoding="utf-8")
    times = {path: path.stat().st_mtime_ns for path in sets.rglob("*.*")}
    gone = sets / "pca-4" / "measured.json"
    gone.unlink()
    assert main([*SMALL, "--out", str(run / "run"), "--publish", str(run / "again")]) == 0
    assert {path for path, time in times.items() if path.stat().st_mtime_ns != time} == {gone}
    after = pd.read_csv(run / "again.csv").drop(columns="probe_seconds")
    pd.testing.assert_frame_equal(after, pd.read_csv(run / "found.csv").drop(columns="probe_seconds"))
    assert before == (run / "found.csv").read_text(encoding="utf-8")
    printed = capsys.readouterr()
    assert "feature sets, 0 of them counted apart" in printed.out
    read = json.loads((run / "run" / "reading.json").read_text(encoding="utf-8"))
    assert read["line"].startswith("read digits: 10 classes")
    assert read["line"] in printed.err


def test_no_label_reaches_what_reads_none(run):
    """Rivals without labels, on a set of the contest with its labels shuffled."""
    from empirical.contest.scores import METRICS

    x = np.load(run / "run" / "sets" / "pca-16" / "train.npy")
    labels = np.arange(len(x)) % 10
    shuffled = np.random.default_rng(0).permutation(labels)
    for metric in METRICS.values():
        if not metric.uses_labels:
            assert metric.function(x, labels) == pytest.approx(metric.function(x, shuffled), rel=1e-9)


def test_checkpoints_take_part_with_both_spaces(tmp_path, capsys):
    from empirical.train import Settings, train

    generator = np.random.default_rng(0)
    y = np.arange(260) % 2
    x = (generator.integers(0, 200, (260, 8, 8, 3)) + 40 * y[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "two.npz", x_train=x[:160], y_train=y[:160], x_test=x[160:], y_test=y[160:])
    data = f"npz:{tmp_path / 'two.npz'}"
    settings = Settings(data=data, train=60, encoder="convnet", width=4, dim=4, batch=30, epochs=1, accelerator="cpu")
    train(settings, tmp_path / "runs" / "margin" / "0")
    argv = ["--data", data, "--labelled", "60", "--others", "40", "--families", "pixels"]
    argv += ["--checkpoints", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    rows = pd.read_csv(tmp_path / "out" / "contest_results.csv").set_index("name")
    assert {"checkpoint-runs-margin-0-encoder", "checkpoint-runs-margin-0-projector"} < set(rows.index)
    assert rows.dimensions["checkpoint-runs-margin-0-projector"] <= 4
    assert {"pixels-4", "pixels-8"} < set(rows.index)
    assert "pixels-16" not in rows.index  # the images have 8


def test_a_family_that_cannot_take_part_is_named(monkeypatch):
    monkeypatch.setattr(contest, "weights_path", lambda: None)
    assert "not installed" in contest.left_out(3)["pretrained"]
    assert "3 channels" in contest.left_out(1)["pretrained"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--families", "pixel"], "families = pixel violates one of pixels, pca"),
        (["--families", "pretrained"], "families = pretrained violates one of"),  # digits have no colours
        (["--labelled", "0"], "labelled = 0 violates an integer >= 1"),
        (["--labelled", "50"], "labelled = 50 violates 10 images of every class (found 5)"),
        (["--labelled", "5000"], "train = 5298 violates an integer in [10, 898]"),
        (["--test", "5"], "test = 5 violates an integer in [10, 899]"),
        (["--jobs", "0"], "jobs = 0 violates an integer in [1, 1024]"),
        (["--checkpoints", "nowhere"], "--checkpoints nowhere: there is no folder nowhere"),
        (["--checkpoints", "."], "checkpoints = . violates a folder with a checkpoint.pt"),
        (["--data", "npz:missing.npz"], "cannot read missing.npz"),
        (["--data", "images"], "data = images violates one of digits"),
    ],
)
def test_bad_input(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--data", "digits", "--out", "out", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_digits_take_no_checkpoints_for_they_have_seen_the_tested_images(tmp_path, capsys, bench):
    with pytest.raises(ParameterError, match="trained on images that are tested here"):
        contest.run_contest(bench, [Recipe("checkpoint", "a", tmp_path / "checkpoint.pt")])


def test_a_folder_of_other_data_is_refused(run, capsys):
    assert main([*SMALL, "--labelled", "200", "--out", str(run / "run")]) == 2
    assert "labelled = 200 violates labelled = 150 of the contest" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "fewest"), [("contest_cifar10", 26), ("contest_digits", 20)])
def test_the_committed_table_follows_from_the_committed_sets(name, fewest):
    rows = pd.read_csv(RESULTS / f"{name}.csv")
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    likes = rows[~rows.family.isin(UNLIKE)]
    assert len(likes) == document["sets"] >= fewest
    assert len(rows) - len(likes) == document["counted_apart"]
    found = table(likes)
    assert [line["name"] for line in found] == [line["name"] for line in document["table"]]
    for line, other in zip(found, document["table"], strict=True):
        assert line.keys() == other.keys()
        for key, value in other.items():
            assert line[key] == (pytest.approx(value) if isinstance(value, float) else value)
    by_name = {line["name"]: line for line in found}
    for rival in ("logme", "rankme", "lidar_views", "alpha_req", "bound"):
        assert by_name["gaussian"]["rho"] > by_name[rival]["rho"]
