"""The benchmark's numbers in the docs follow from the committed results of its commands."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import gradients, people, prediction
from benchmarks.tables import put_rows
from empirical.choices import BEST, BEST_UNLABELLED
from empirical.contest.table import markdown as contest_table
from empirical.train.settings import Settings
from figures import phase_map
from theory.checks import ParameterError
from theory.command import markdown_table

ROOT = Path(__file__).parents[1]
SHARE = "share of the probe's"
SIZES = (256, 512, 1024, 2048, 4096)


def results(name):
    return json.loads((ROOT / "results" / f"benchmark_{name}.json").read_text(encoding="utf-8"))


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def losses_table():
    rows = {(row["loss"], row["images"]): row for row in results("losses")["losses"] if row["dim"] == 128}
    lines = [f"| loss | {' | '.join(map(str, SIZES))} |", "| --- |" + " --- |" * len(SIZES)]
    for name in dict.fromkeys(loss for loss, _ in rows):
        cells = []
        for size in SIZES:
            row = rows.get((name, size))
            cells.append(f"{row['time / lightly']:.2f}, {row['memory / lightly']:.2f}" if row else "—")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_losses_table():
    assert losses_table() in page("losses")


def test_our_nt_xent_is_no_slower_or_larger_than_lightly():
    rows = [row for row in results("losses")["losses"] if row["loss"] == "nt_xent"]
    assert len(rows) == 2 * len(SIZES)
    assert all(row["time / lightly"] <= 1 and row["memory / lightly"] <= 1 for row in rows)


def test_remedies_in_words():
    slowest = {
        dim: max(
            row["time / nt_xent"]
            for row in results("losses")["losses"]
            if row["images"] == 512 and row["dim"] == dim and row["loss"] in ("margin", "temperature", "combined")
        )
        for dim in (128, 32)
    }
    text = page("losses")
    assert f"at most {slowest[128]:.1f} times" in text
    assert f"up to {slowest[32]:.1f} times" in text


def test_step_table():
    document, text = results("step"), page("training")
    for row in document["parts"]:
        parts = ("data", "augmentation", "encoder", "selection + loss", "optimiser")
        cells = " | ".join(f"{row[part]:.1f}" for part in parts)
        assert f"| {row['arm']} | {cells} | {100 * row['all but encoder']:.1f} % |" in text
    for row in document["speeds"]:
        assert f"{row['loop']} {row['views/s']:,.0f}" in text
    ratio = next(row["ratio"] for row in document["speeds"] if row["loop"] == "baseline")
    assert f"{ratio:.2f} times lightly's loop" in text


def test_prediction_tables():
    document, text = results("features"), page("prediction_features")
    assert all(row["met"] for row in document["targets"])
    for row in document["mixed_errors"]:
        pairs = [(row[f"{name}, absolute"], row[f"{name}, signed"]) for name in ("pooled", "own", "two parts")]
        assert f"| {row['ω']:g} | " + " | ".join(f"{size:.1f} ({bias:+.1f})" for size, bias in pairs) + " |" in text
    for row in document["mixed"]:
        if row["ω"] == 0.4 and row["features"] == "trained encoder":
            cells = (f"{row[name]:.3f}" for name in ("measured", "own", "two parts"))
            assert f"| {row['seed']} | " + " | ".join(cells) + " |" in text
    shares = {row["what"]: f"{row[SHARE]:.2f}".lstrip("0") for row in document["speed"]}
    assert f"pooled {shares['pooled']} of the probe's, own {shares['own']}" in text
    assert f"{100 * min(row['coverage'] for row in document['coverage']):.1f} % of 200 samples or more" in text


def test_contest_tables():
    text = page("prediction_features")
    for name in ("cifar10", "digits"):
        document = json.loads((ROOT / "results" / f"contest_{name}.json").read_text(encoding="utf-8"))
        assert contest_table(document["table"]) in text
        two = next(line for line in document["table"] if line["name"] == "gaussian_two")
        assert f"{100 * two['covered']:.0f} % ({'CIFAR-10' if name == 'cifar10' else name})" in text
        assert two["error"] <= 2
        assert two["rho"] >= {"cifar10": 0.93, "digits": 0.9}[name]
        if name == "cifar10":
            said = f"{two['error']:.1f} points off in the mean over {two['sets']} sets of CIFAR-10 features"
            assert said in (ROOT / "README.md").read_text(encoding="utf-8")


# --- predictions of simulated graphs ----------------------------------------------------------------


@pytest.fixture(scope="module")
def points():
    return pd.read_csv(ROOT / "results" / "prediction.csv")


def test_predicted_accuracy_tables(points):
    text = page("prediction")
    assert markdown_table(prediction.HEADER, prediction.summary(points)) in text
    assert markdown_table(prediction.GAP_HEADER, prediction.gaps(points)) in text


def test_the_predictions_are_what_theory_predicts(points):
    """Of one graph of each kind, computed again."""
    for (kind, number), rows in points[points.number == 2].groupby(["kind", "number"]):
        one = prediction.design(kind, int(number))
        given = rows.drop(columns=[column for column in rows if column.startswith("predicted_")])
        again = pd.DataFrame(prediction.predicted((one, given.to_dict("records"))))
        for part in prediction.PARTS:
            found, stored = (table[f"predicted_{part}"].astype(float).to_numpy() for table in (again, rows))
            assert found == pytest.approx(stored, abs=1e-5, nan_ok=True), (kind, part)


def test_the_prediction_meets_its_targets(points):
    graphs = points[points.kind == "graph"].dropna(subset="predicted_all")
    off = 100 * (graphs.predicted_all - graphs.measured_all).abs()
    assert len(graphs) > 2000
    assert off.median() <= 0.6
    assert off.quantile(0.95) <= 2.2
    assert graphs.predicted_all.rank().corr(graphs.measured_all.rank()) >= 0.995
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    median, most = (f"{value:.2f}".lstrip("0") for value in (off.median(), off.quantile(0.95)))
    assert f"on 200 random graphs {median} points off in the median, {most} in the 95th percentile" in readme


def test_noise_of_low_rank_misleads_among_its_spikes(points):
    low_rank = points[points.kind == "correlated"]
    off = 100 * (low_rank.predicted_all - low_rank.measured_all).abs()
    among = low_rank.dim <= low_rank.classes + 5
    assert f"up to {off[among].max():.0f} points off" in page("prediction")
    assert off[~among].max() < 2


def test_what_the_page_says_in_words(points):
    text = page("prediction")
    channel = points[points.kind == "channel"]
    refused = channel[channel.predicted_all.isna()].measured_all
    assert f"{channel.predicted_all.count()} of {len(channel)} points of the benchmark have one" in text
    assert round(5 * (refused > 0.98).mean()) == 4  # "four in five"
    assert f"the least is {100 * refused.min():.0f} %" in text
    seen = points[points.kind.isin(["gap", "imbalanced", *prediction.SAMPLES])]
    ranks = [line[6].lstrip("0") for line in prediction.gaps(seen)]
    assert f"the rank correlation is {min(ranks)} to {max(ranks)}." in text
    signs = phase_map.signs(phase_map.data())
    share = 100 * signs[signs.pairing == "both"].set_index("comparison").share_right
    said = "{:.1f} % of the significant changes by difficult pairs, of {:.0f} % by margins, {:.1f} % by temperatures"
    assert said.format(*share[["difficult", "margin", "temperature_unweighted"]]) in text
    assert f"and {share['removal']:.0f} % by removal" in text


def test_the_papers_arms_and_ours_by_their_gradients():
    document = json.loads((ROOT / "results" / "gradients.json").read_text(encoding="utf-8"))
    assert gradients.table(document) in page("methods")
    rows = {(row["band"], row["arm"]): row for row in document["rows"]}
    assert all(row["spared"]["value"] > 0.94 for row in rows.values())  # "With the positives left alone the two agree"
    assert all(rows[band, "margin"]["cosine"]["value"] > 0.97 for band in gradients.DATA)  # "the same remedy"
    others = (row["cosine"]["high"] for (_, arm), row in rows.items() if arm != "margin")
    assert max(others) < 0.55


def test_gradients_are_compared_on_any_network():
    settings = Settings(encoder="convnet", width=4, dim=8, batch=50, train=100, test=50)
    rows = gradients.compare(settings, settings.network(1), batches=2)
    assert [(row["band"], row["arm"]) for row in rows] == [(d, a) for d in gradients.DATA for a in gradients.ARMS]
    for row in rows:
        assert row["cosine"]["low"] <= row["cosine"]["value"] <= row["cosine"]["high"]


# --- scores of difficult samples against people -----------------------------------------------------


def test_scores_against_people():
    found = pd.read_csv(ROOT / "results" / "selectors.csv")
    text = page("selection")
    assert f"<!-- selectors -->\n\n{people.table(found)}\n\n<!-- /selectors -->" in text
    assert people.chosen(found) == (BEST, BEST_UNLABELLED)  # what the commands take
    assert len(found.encoder.unique()) == 3
    paper = found[found.score.isin(["statistic", "paper_flags"])]
    assert (paper.low < 0.58).groupby(paper.encoder).all().sum() == 2  # "except with one of three encoders"
    unseen = found[~found.labels & (found.encoder == found.sort_values("accuracy").encoder.iloc[0])]
    assert unseen.area.max() < 0.6  # "nothing that sees no labels does with the weakest"
    mean = found.groupby("score")[["rank", "precision"]].mean()
    assert mean["rank"]["doubt"] > mean["rank"][["gap", "entropy"]].max()
    doubtful = found[found.score == "doubt"]
    assert doubtful.issues.mean() > 0.85  # "nearly all"
    assert "as {:.0f}, {:.0f} and {:.0f} % of all images are".format(*100 * doubtful.issues_base) in text
    shares = 100 * doubtful.precision.mean(), 100 * doubtful.base.mean()
    assert (
        "Of the 8 % with the most doubt {:.0f} % are ambiguous to people, of all images {:.0f} %".format(*shares)
        in text
    )


def test_the_area_is_how_often_a_positive_is_larger():
    generator = np.random.default_rng(0)
    values, positive = generator.integers(0, 5, (3, 40)).astype(float), generator.random((3, 40)) < 0.3
    for row, chosen, found in zip(values, positive, people.area(values, positive), strict=True):
        pairs = [(a > b) + (a == b) / 2 for a in row[chosen] for b in row[~chosen]]
        assert found == pytest.approx(np.mean(pairs))


@pytest.fixture
def judged(tmp_path):
    """Images of two classes, some between them, on which people disagree."""
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 2
    between = generator.random(600) < 0.15
    features = generator.normal(0, 0.3, (600, 6))
    features[:, 0] += np.where(between, 0, 2 * labels - 1)
    features[:, 1] += 1
    np.save(tmp_path / "f.npy", features.astype(np.float32))
    share = np.where(between, 0.5, 0.97)
    votes = np.stack([np.where(labels == c, share, 1 - share) for c in (0, 1)], axis=1)
    return {"one": tmp_path / "f.npy", "other": tmp_path / "f.npy"}, labels, votes


def test_planted_ambiguity_is_found(judged, monkeypatch):
    monkeypatch.setattr(people, "RESAMPLES", 40)
    found = people.compare(*judged)
    assert set(found.score) >= {"gap", "doubt", "statistic", "contrast"}
    one = found[found.encoder == "one"].set_index("score")
    assert (one.low <= one.area).all()
    assert (one.area <= one.high).all()
    assert one.area[["gap", "doubt", "entropy", "neighbours"]].min() > 0.75
    assert one.base.iloc[0] < one.precision["doubt"]
    assert (found.behind >= 0).all()
    assert (found.groupby("labels").behind.min() == 0).all()
    with_labels, without = people.chosen(found)
    assert with_labels not in people.UNLABELLED
    assert without in people.UNLABELLED


def test_features_of_other_images_are_refused(judged):
    encoders, labels, votes = judged
    with pytest.raises(ParameterError, match="features = 600 rows violates one for each of 500"):
        people.compare(encoders, labels[:500], votes[:500])


def test_the_guide_has_the_measured_verdict_on_pairs():
    found, text = results("pairs"), page("howto/own-embeddings")
    assert all(target["met"] for target in found["targets"])
    severity = f"{100 * found['mean_severity']:.0f} %"
    assert f"all {found['found']} sibling pairs are flagged, with a mean severity of {severity}" in text
    took = f"{found['core_seconds']:.0f} seconds of processor time on one thread and {found['peak_gib']:.1f} GiB"
    assert f"It takes {took}" in text


def test_selection_has_the_measured_million():
    (row,) = results("scale")["rows"]
    assert (row["samples"], row["dim"], row["planted pairs found"]) == (1_000_000, 256, 1.0)
    assert row["seconds"] <= 600
    assert row["peak GiB"] <= 6
    said = (
        f"takes {row['seconds'] / 60:.1f} minutes and {row['peak GiB']:.1f} GiB, with a recall of {row['recall']:.3f}"
    )
    assert said.replace(" 0.", " .") in " ".join(page("selection").split())


def test_rows_are_put_in_place_of_those_with_the_same_key(tmp_path):
    path = tmp_path / "table.csv"
    first = pd.DataFrame({"data": ["b", "c"], "seed": [0, 0], "score": [0.5, 0.25]})
    put_rows(path, first, ["data", "seed"])
    found = put_rows(path, pd.DataFrame({"data": ["c", "a"], "seed": [0, 1], "score": [1.0, None]}), ["data", "seed"])
    assert found.data.tolist() == ["a", "b", "c"]
    assert found.score.dropna().tolist() == [0.5, 1.0]
    assert path.read_text(encoding="utf-8") == "data,seed,score\na,1,\nb,0,0.5\nc,0,1.0\n"
