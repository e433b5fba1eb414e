import numpy as np
import pytest

from empirical.data import features as chunks
from empirical.data.features import Features
from empirical.evaluate.probes import linear_probe
from empirical.prediction import discriminant as module
from empirical.prediction import predict
from empirical.prediction.gaussian import positive
from tests.empirical.prediction.worlds import discriminant, gaussian
from tests.empirical.test_evaluate import noisy
from theory.checks import ParameterError


def plugged_in(x, labels, draws=200_000):
    """The formulas of docs/prediction.md without a ridge and with a pooled covariance, by sampling of the scores."""
    classes, d = int(labels.max()) + 1, x.shape[1]
    sizes = np.bincount(labels)
    means = np.stack([x[labels == c].mean(axis=0) for c in range(classes)])
    within = (x - means[labels]).T @ (x - means[labels]) / (len(x) - classes)
    kappa, projector = d / (len(x) - classes), np.eye(classes) - 1 / classes
    m = means - means.mean(axis=0)
    noise = d * projector @ np.diag(1 / sizes) @ projector
    values, vectors = np.linalg.eigh((1 - kappa) * m @ np.linalg.solve(within, m.T) - noise)
    gram = (vectors * np.maximum(values, 0)) @ vectors.T
    covariance = (gram + noise) / (1 - kappa) ** 3
    generator, right = np.random.default_rng(0), 0.0
    for c in range(classes):
        mean = (gram[c] - np.diag(gram) / 2 - d / sizes / 2) / (1 - kappa) + np.log(sizes / len(x))
        scores = generator.multivariate_normal(mean, covariance, draws, check_valid="ignore")
        right += sizes[c] / len(x) * (scores.argmax(axis=1) == c).mean()
    return right


@pytest.mark.parametrize("per_class", [60, [20, 50, 70, 200]])
def test_a_pooled_prediction_without_ridge_is_the_formula(per_class, monkeypatch):
    monkeypatch.setattr("empirical.prediction.gaussian._ridge", lambda counts, c: 0.0)
    x, labels = gaussian(per_class=per_class)
    found = predict(x, labels, covariance="pooled")
    assert found.accuracy == pytest.approx(plugged_in(x, labels), abs=3e-3)
    assert found.kappa == pytest.approx(12 / (len(x) - 4))
    assert found.dimensions == 12


WORLDS = {
    "round": {},
    "many dimensions": {"width": 100, "distance": 4.5},
    "unequal classes": {"per_class": [20, 40, 80, 160]},
    "unequal spreads": {"spreads": [0.5, 1.0, 1.5, 0.8]},
    "two classes": {"classes": 2, "distance": 2.0},
}


@pytest.mark.parametrize("settings", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("labels_per_class", [None, 15])
def test_it_predicts_discriminant_analysis_on_gaussian_features(settings, labels_per_class):
    """Means over 12 training sets: the errors that are left are the model's, at most two points."""
    test = gaussian(seed=1000, **{"per_class": 4000, **settings})
    if not np.isscalar(settings.get("per_class", 1)):
        test = gaussian(seed=1000, **{**settings, "per_class": [20 * n for n in settings["per_class"]]})
    predicted, measured = [], []
    for seed in range(12):
        x, labels = gaussian(seed=seed, **settings)
        predicted.append(predict(x, labels, labels_per_class).accuracy)
        if labels_per_class is None:
            measured.append(discriminant(x, labels, *test))
        else:
            few = np.concatenate([np.flatnonzero(labels == c)[:labels_per_class] for c in range(labels.max() + 1)])
            measured.append(discriminant(x[few], labels[few], *test))
    error = np.hypot(np.std(predicted), np.std(measured)) / np.sqrt(12)
    assert np.mean(predicted) == pytest.approx(np.mean(measured), abs=0.02 + 2 * error)


def test_own_covariances_matter_where_spreads_differ():
    settings = WORLDS["unequal spreads"]
    test = gaussian(seed=1000, **{**settings, "per_class": 4000})
    x, labels = gaussian(seed=0, **{**settings, "per_class": 400})
    measured = discriminant(x, labels, *test)
    own, pooled = (predict(x, labels, covariance=c).accuracy for c in ("own", "pooled"))
    assert abs(own - measured) < 0.01 < abs(pooled - measured)


def test_two_parts_repair_what_one_gets_wrong():
    """Averages with samples of other classes, as mixed images are: one Gaussian a class is points too high."""
    generator = np.random.default_rng(0)

    def mixed(seed, n):
        x, labels = gaussian(classes=5, width=8, per_class=n, distance=9, seed=seed)
        chosen = np.flatnonzero(generator.random(len(x)) < 0.4)
        partner = generator.permutation(len(x))[: len(chosen)]
        x[chosen] = (x[chosen] + x[partner]) / 2
        return x.astype(np.float32), labels

    x, labels = mixed(0, 300)
    measured = linear_probe(x, labels, *mixed(1, 2000), c=1.0)
    one, two = (predict(x, labels, components=k) for k in (1, 2))
    assert abs(two.accuracy - measured) < 0.02 < one.accuracy - measured
    assert two.difficult < two.accuracy < two.easy
    total = (1 - two.difficult_share) * two.easy + two.difficult_share * two.difficult
    assert total == pytest.approx(two.accuracy)
    assert (one.easy, one.difficult, one.difficult_share) == (None, None, None)


def test_it_follows_the_probe_to_another_regularisation():
    """Where c = 1 overfits, by more than two points, it says so."""
    (x, y), (test_x, test_y) = noisy(600), noisy(20_000, seed=1)
    accuracies = np.array([[predict(x, y, c=c).accuracy, linear_probe(x, y, test_x, test_y, c=c)] for c in (0.01, 1.0)])
    assert (accuracies[0] > accuracies[1] + 0.02).all()
    assert accuracies[:, 0] == pytest.approx(accuracies[:, 1], abs=0.03)
    with pytest.raises(ParameterError, match="c = 0 violates c > 0"):
        predict(x, y, c=0)


@pytest.mark.parametrize("covariance", ["own", "pooled"])
def test_it_does_not_change_under_linear_maps(covariance):
    """As a probe's accuracy does not, but for its ridge, which standardised features feel only a little."""
    x, labels = gaussian(per_class=300)
    mixing = np.random.default_rng(0).standard_normal((12, 12))
    first = predict(x, labels, covariance=covariance).accuracy
    assert predict(x * np.geomspace(1e-3, 1e3, 12) + 5, labels, covariance=covariance).accuracy == pytest.approx(
        first, abs=1e-6
    )
    assert predict(x @ mixing, labels, covariance=covariance).accuracy == pytest.approx(first, abs=0.01)


def test_names_and_order_of_classes_and_rows_do_not_matter(monkeypatch):
    x, labels = gaussian(per_class=50)
    order = np.random.default_rng(0).permutation(len(x))
    first = predict(x, labels)
    monkeypatch.setattr(chunks, "CHUNK_VALUES", 200)
    second = predict(Features(x[order]), 10 * labels[order] - 5)
    assert second.accuracy == pytest.approx(first.accuracy, abs=1e-9)


@pytest.mark.parametrize("components", [1, 2])
def test_more_labels_are_better_and_the_limit_is_that_of_all(components):
    x, labels = gaussian(per_class=100, width=30)
    found = [predict(x, labels, m, components=components).accuracy for m in (1, 3, 10, 30, 100)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(predict(x, labels, components=components).accuracy, abs=1e-3)


def test_intervals_hold_the_accuracy():
    """95 % intervals of 40 samples hold the mean accuracy of discriminant analysis 34 times or more (P < .002)."""
    test = gaussian(seed=1000, per_class=4000)
    truth = np.mean([discriminant(*gaussian(seed=seed), *test) for seed in range(20)])
    found = [predict(*gaussian(seed=seed)) for seed in range(100, 140)]
    assert sum(p.low <= truth <= p.high for p in found) >= 34
    spread = np.std([p.accuracy for p in found])
    assert 1.5 * spread < np.mean([(p.high - p.low) / 2 for p in found]) < 4 * spread  # not by being endless


def test_four_times_the_samples_halve_the_interval():
    widths = [np.subtract(*[(p := predict(*gaussian(per_class=n))).high, p.low]) for n in (100, 400)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.35)


def test_of_many_samples_some_are_kept(monkeypatch):
    x, labels = gaussian(per_class=400)
    everyone = predict(x, labels)
    monkeypatch.setattr(module, "MOST_VALUES", 4 * 3 * 100)
    some = predict(x, labels)
    assert some.accuracy == pytest.approx(everyone.accuracy, abs=0.01)
    assert some.high - some.low == pytest.approx(everyone.high - everyone.low, rel=0.5)


def test_beyond_the_leading_directions_the_pooled_covariance_holds(monkeypatch):
    x, labels = gaussian(per_class=100, classes=6)
    monkeypatch.setattr(module, "MOST_DIRECTIONS", 2)
    assert predict(x, labels).accuracy == pytest.approx(predict(x, labels, covariance="pooled").accuracy, abs=0.02)


# --- limits ----------------------------------------------------------------------------------------


def test_too_many_dimensions_give_no_number():
    x, labels = gaussian(per_class=10, width=35)
    found = predict(x, labels)
    assert (found.accuracy, found.low, found.high) == (None, None, None)
    assert found.kappa == pytest.approx(35 / 36)
    assert found.reason == "κ = 35/(40 − 4) = 0.972 > 0.9: too few samples to tell"
    assert predict(x[:, :30], labels).accuracy is not None


def test_one_feature_does():
    x, labels = gaussian(width=1, classes=2, distance=4, per_class=2000)
    found = predict(x, labels)
    assert found.dimensions == 1
    assert found.accuracy == pytest.approx(discriminant(x, labels, x, labels), abs=0.01)


def test_singular_features_lose_directions_that_are_named():
    x, labels = gaussian(per_class=100)
    more = np.column_stack([x, x[:, 0] + x[:, 1], np.full(len(x), 3.0)])
    found = predict(more, labels)
    assert found.dimensions == 12
    assert found.notes == (
        "dropped 1 column that does not vary: 13",
        "dropped 1 direction without variance within the classes",
    )
    assert found.accuracy == pytest.approx(predict(x, labels).accuracy, abs=0.01)
    known = predict(np.column_stack([x, labels]), labels)
    assert "class means differ along a dropped direction" in known.notes[-1]


def test_features_without_any_variation_give_no_number():
    labels = np.repeat([0, 1], 5)
    assert predict(labels[:, None].astype(float), labels).reason == "features do not vary within the classes"
    assert predict(np.ones((10, 3)), labels).reason == "features do not vary within the classes"


def test_chance_where_nothing_tells_the_classes_apart():
    x = np.random.default_rng(0).standard_normal((2000, 5))
    assert predict(x, np.arange(2000) % 4).accuracy == pytest.approx(0.25, abs=0.03)
    x[1000:] = x[:1000]
    assert predict(x, np.repeat([0, 1], 1000)).reason == "all class means are equal"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels_per_class": 0}, "labels_per_class = 0 violates an integer in .1, 1000000000000."),
        ({"components": 3}, "components = 3 violates 1 or 2"),
        ({"components": 2, "covariance": "pooled"}, "components = 2 violates 1 where covariance = pooled"),
        ({"covariance": "onw"}, r"covariance = onw violates one of own, pooled \(did you mean own\?\)"),
        ({"labels": np.array([0] * 239 + [1])}, "a class of 1 sample violates at least two samples in every class"),
        ({"labels": np.zeros(240, dtype=int)}, "1 class violates at least two classes"),
        ({"labels": np.arange(3)}, "3 labels violates one for each of 240 rows"),
        ({"features": np.full((240, 3), np.nan)}, "row 0 is NaN or infinite"),
    ],
)
def test_bad_input_is_refused_with_its_reason(change, message):
    x, labels = gaussian()
    with pytest.raises(ParameterError, match=message):
        predict(**{"features": x, "labels": labels, **change})


# --- eigenvalues -----------------------------------------------------------------------------------


def test_the_nearest_positive_matrix_of_the_same_trace_is_that_of_a_search():
    generator = np.random.default_rng(0)
    vectors = np.linalg.qr(generator.standard_normal((4, 4)))[0]
    values = np.array([5.0, 1.0, -0.5, -2.0])
    found = positive((vectors * values) @ vectors.T)
    assert np.linalg.eigvalsh(found) == pytest.approx([0, 0, 0, 3.5], abs=1e-12)
    distances = [np.square(np.array([v, 3.5 - v, 0, 0]) - values).sum() for v in np.linspace(0, 3.5, 701)]
    assert np.square(np.linalg.eigvalsh(found)[::-1] - values).sum() == pytest.approx(min(distances), abs=1e-3)


@pytest.mark.parametrize("values", [[3.0, 2.0, 0.0], [1.0, 1.0, 1.0]])
def test_a_positive_matrix_stays_as_it_is(values):
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    matrix = (vectors * values) @ vectors.T
    assert positive(matrix) == pytest.approx(matrix)
    assert positive(-matrix) == pytest.approx(np.zeros((3, 3)), abs=1e-12)


def test_a_hundred_classes_of_few_dimensions_are_not_overrated(monkeypatch):
    """Means in 20 of 256 dimensions: the noise of the others must not count as signal."""
    generator = np.random.default_rng(0)
    means = 0.6 * generator.standard_normal((100, 20)) @ np.linalg.qr(generator.standard_normal((256, 20)))[0].T
    labels = np.repeat(np.arange(100), 100)
    x, test = (means[labels] + generator.standard_normal((10_000, 256)) for _ in range(2))
    measured = discriminant(x, labels, test, labels)
    assert predict(x, labels, covariance="pooled").accuracy == pytest.approx(measured, abs=0.02)
    monkeypatch.setattr("empirical.prediction.gaussian.positive", cut)
    assert predict(x, labels, covariance="pooled").accuracy > measured + 0.02


def cut(matrix):
    """The positive part."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T
