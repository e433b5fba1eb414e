import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from empirical.data.samples import read_samples
from empirical.evaluate.__main__ import main
from empirical.evaluate.augmented import augmented_probe
from empirical.evaluate.own import halves, reading_of_test
from empirical.evaluate.probes import (
    FOLDS,
    GRID,
    OnlineProbe,
    alignment,
    choose_c,
    knn,
    label_draws,
    linear_probe,
    probe,
    sgd_probe,
    uniformity,
)
from empirical.evaluate.protocol import DEFAULT, EARLIER, Protocol
from empirical.evaluate.scoring import describe, evaluate_features, evaluate_network, fingerprint
from empirical.paper import STATED
from empirical.prediction import predict
from empirical.train.loop import train
from tests.empirical.train.test_loop import TINY
from theory.checks import ParameterError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out / "checkpoint.pt", train(TINY, out)


def clusters(samples=60, classes=3, spread=0.3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    centres = np.eye(classes, 5)
    features = centres[labels] + spread * generator.standard_normal((samples, 5))
    return features.astype(np.float32), labels.astype(np.int64)


def test_separable_classes_are_probed_perfectly():
    train_set, test_set = clusters(spread=0.01), clusters(spread=0.01, seed=1)
    assert linear_probe(*train_set, *test_set) == 1
    assert linear_probe(*train_set, *test_set, labels_per_class=15, draws=3) == 1


def test_features_of_noise_are_probed_at_chance():
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((400, 5)).astype(np.float32), np.arange(400) % 4
    accuracy = linear_probe(x[:200], y[:200], x[200:], y[200:])
    assert accuracy == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 200))


@pytest.mark.parametrize(
    "score",
    [
        lambda *data: linear_probe(*data, c=1.0),
        lambda *data: linear_probe(*data, labels_per_class=3, draws=2, c=1.0),
        sgd_probe,
        lambda *data: knn(*data, k=5),
    ],
)
@pytest.mark.parametrize("none", [-1, None, np.nan])
def test_rows_without_a_label_are_left_out_everywhere(score, none):
    rng = np.random.default_rng(0)
    x, test = rng.normal(size=(60, 4)).astype(np.float32), rng.normal(size=(40, 4)).astype(np.float32)
    y, truth = np.arange(60) % 3, np.arange(40) % 3
    whole = score(x, y, test, truth)
    wild = np.full((7, 4), 50, dtype=np.float32)
    mixed = [*y.tolist(), *[none] * 7]
    mixed_truth = [*truth.tolist(), *[none] * 7]
    assert score(np.vstack([x, wild]), mixed, np.vstack([test, wild]), mixed_truth) == whole
    assert choose_c(np.vstack([x, wild]), mixed) == choose_c(x, y)
    with pytest.raises(ParameterError, match="labels of some samples"):
        score(x, np.full(60, -1), test, truth)


def test_knn_agrees_with_sklearn():
    (x, y), (test_x, test_y) = clusters(spread=0.8), clusters(spread=0.8, seed=1)
    unit, test_unit = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, test_x))
    model = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d**2 / 2) / 0.1)).fit(unit, y)
    assert knn(x, y, test_x, test_y, k=7) == pytest.approx(model.score(test_unit, test_y))


@pytest.mark.parametrize("tau", [0.01, 0.1, 10.0])
def test_knn_equals_a_double_loop(tau):
    """Also where e^{1/τ} is no float: at τ = .01 every vote used to be infinite."""
    (x, y), (test_x, test_y) = clusters(spread=0.8), clusters(spread=0.8, seed=1)
    right = 0
    for row, truth in zip(test_x.astype(np.float64), test_y, strict=True):
        cosines = [float(row @ v) / np.linalg.norm(row) / np.linalg.norm(v) for v in x.astype(np.float64)]
        votes = [0.0] * 3
        for i in np.argsort(cosines)[::-1][:30]:
            votes[y[i]] += math.exp(cosines[i] / tau)
        right += int(np.argmax(votes)) == truth
    assert knn(x, y, test_x, test_y, k=30, tau=tau) == right / len(test_y)


def test_knn_takes_all_samples_where_there_are_fewer_than_k():
    data = (*clusters(spread=0.8), *clusters(spread=0.8, seed=1))
    assert knn(*data) == knn(*data, k=60)


@pytest.mark.parametrize(("few", "folds"), [(None, 5), (4, 4)])
def test_c_is_that_of_the_smallest_held_out_loss(few, folds):
    """A loop over all values, and over the first five draws of few labels, on data where no end of the grid is best."""
    x, y = noisy(120)
    scaled, losses = StandardScaler().fit_transform(x), []
    for c in GRID:
        total = 0.0
        for rows in [np.arange(120)] if few is None else list(label_draws(y, few, 50))[:5]:
            a, b = scaled[rows], y[rows]
            for fit, held in StratifiedKFold(folds, shuffle=True, random_state=0).split(a, b):
                model = LogisticRegression(C=c, max_iter=300, tol=1e-3).fit(a[fit], b[fit])
                total -= np.log(model.predict_proba(a[held])[np.arange(len(held)), b[held]]).mean()
        losses.append(total)
    best = GRID[int(np.argmin(losses))]
    assert GRID[0] < best < GRID[-1]
    assert choose_c(x, y, few) == best


def test_a_chosen_c_raises_the_accuracy_of_few_rows_for_many_features():
    (x, y), (test_x, test_y) = noisy(120), noisy(2000, seed=1)
    chosen, one = (linear_probe(x, y, test_x, test_y, c=c) for c in (None, 1.0))
    assert chosen > one + 0.01
    assert chosen == linear_probe(x, y, test_x, test_y, c=choose_c(x, y))
    assert one == probe(x, y).score(test_x, test_y)


def noisy(samples, seed=0):
    """Three classes, told apart along 10 of 100 latent directions that are mixed into as many features."""
    generator, labels = np.random.default_rng(seed), np.arange(samples) % 3
    spread = 1 / np.arange(1, 101) ** 0.5
    centres = np.random.default_rng(7).standard_normal((3, 100)) * (np.arange(100) < 10)
    latent = spread * (0.7 * centres[labels] + generator.standard_normal((samples, 100)))
    mixing = np.linalg.qr(np.random.default_rng(8).standard_normal((100, 100)))[0]
    return (latent @ mixing).astype(np.float32), labels


def test_of_many_rows_only_some_folds_are_held_out(monkeypatch):
    x, y = noisy(120)
    fits = []
    real = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, *data: fits.append(len(data[0])) or real(self, *data))
    choose_c(x, y)
    values = len(fits) // FOLDS
    assert len(fits) == FOLDS * values
    assert 5 <= values <= 7  # some decades, and what lies beside the best
    assert set(fits) == {96}
    fits.clear()
    monkeypatch.setattr("empirical.evaluate.probes.JUDGED", 25)
    choose_c(x, y)
    assert len(fits) <= 2 * 7  # two folds of 24 rows hold 25
    assert len(fits) % 2 == 0


def test_one_row_of_a_class_leaves_no_c_to_choose():
    x, y = noisy(120)
    assert choose_c(x, y, 1) is None
    assert choose_c(x[:4], y[:4]) is None
    test_set = noisy(60, seed=1)
    assert linear_probe(x, y, *test_set, labels_per_class=1) == linear_probe(x, y, *test_set, 1, c=1.0)
    assert "C = 1 (a label a class leaves none" in Protocol(labels_per_class=1).words


def test_label_draws_depend_on_the_labels_alone():
    (x, y), test_set = clusters(spread=1.0), clusters(spread=1.0, seed=1)
    first = linear_probe(x, y, *test_set, labels_per_class=2, draws=5)
    test_x, test_y = test_set
    assert linear_probe(x * 4, y, test_x * 4, test_y, labels_per_class=2, draws=5) == pytest.approx(first)
    assert linear_probe(x, y, test_x, test_y, labels_per_class=2, draws=6) != first


def test_too_many_labels_per_class_are_refused():
    data = clusters()
    with pytest.raises(ParameterError, match=r"labels_per_class = 21 violates an integer in \[1, 20\]"):
        linear_probe(*data, *data, labels_per_class=21)


def test_sgd_probe_separates_what_is_separable_and_nothing_else():
    train_set, test_set = clusters(spread=0.01), clusters(spread=0.01, seed=1)
    assert sgd_probe(*train_set, *test_set, epochs=20, batch=16) == 1
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((400, 5)).astype(np.float32), np.arange(400) % 4
    accuracy = sgd_probe(x[:200], y[:200], x[200:], y[200:], epochs=20)
    assert accuracy == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 200))


def test_sgd_probe_agrees_with_lbfgs_where_features_say_enough():
    (x, y), (test_x, test_y) = clusters(600, spread=0.6), clusters(600, spread=0.6, seed=1)
    both = sgd_probe(x, y, test_x, test_y), linear_probe(x, y, test_x, test_y)
    assert both[0] == pytest.approx(both[1], abs=0.02)
    assert sgd_probe(x, y, test_x, test_y) == both[0]  # the same order of samples


def test_alignment_and_uniformity_in_closed_form():
    unit = torch.eye(3, dtype=torch.float64)
    assert alignment(unit, 5 * unit) == pytest.approx(0)
    assert alignment(unit, unit.roll(1, 0)) == pytest.approx(2)  # ‖u − v‖² of orthogonal unit vectors
    assert alignment(unit, -unit, power=1) == pytest.approx(2)
    assert uniformity(unit) == pytest.approx(-4)  # −t·2
    assert uniformity(torch.ones(5, 2)) == pytest.approx(0, abs=1e-6)
    assert uniformity(torch.tensor([[1.0, 0], [-1, 0]]), t=1) == pytest.approx(-4, abs=1e-5)


def test_alignment_and_uniformity_equal_a_double_loop(monkeypatch):
    monkeypatch.setattr("empirical.evaluate.probes.ROWS", 4)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(9, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    u, v = ([row / row.norm() for row in x] for x in (a, b))
    assert alignment(a, b) == pytest.approx(sum(float((p - q).square().sum()) for p, q in zip(u, v, strict=True)) / 9)
    terms = [math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(9) for j in range(9) if i != j]
    assert uniformity(a) == pytest.approx(math.log(sum(terms) / len(terms)))


def test_online_probe_learns_and_sends_no_gradient_back():
    features, labels = (torch.from_numpy(part) for part in clusters(90, spread=0.1))
    features.requires_grad_()
    torch.manual_seed(0)
    probe = OnlineProbe(5, 3, lr=0.1)
    curve = [float(probe.update(features, labels)) for _ in range(60)]
    assert curve[-1] == 1
    assert curve[0] < 0.9
    assert features.grad is None
    ignored = labels.clone()
    ignored[:] = -1
    before = {key: value.clone() for key, value in probe.layer.state_dict().items()}
    probe.optimizer = torch.optim.SGD(probe.layer.parameters(), lr=1.0)
    assert float(probe.update(features, ignored)) == 0
    assert all(torch.equal(value, before[key]) for key, value in probe.layer.state_dict().items())


def test_evaluation_leaves_the_network_bit_identical(run):
    _, network = run
    before = fingerprint(network)
    scores = evaluate_network(network.train(), TINY.data_set(), Protocol("both"), TINY.augmentation)
    assert fingerprint(network) == before
    predicted = {f"predicted_probe{end}" for end in ("", "_low", "_high")}
    kinds = {"probe", "c", "sgd_probe", "knn", "alignment", "uniformity", *predicted}
    assert set(scores) == {f"{space}_{kind}" for space in ("encoder", "projector") for kind in kinds}
    assert all(-8 <= score <= 4 for name, score in scores.items() if name.endswith(("alignment", "uniformity")))
    assert all(0.1 < score <= 1 for name, score in scores.items() if name.endswith(("probe", "knn")))


@pytest.mark.parametrize("few", [None, 5])
def test_the_predicted_accuracy_stands_beside_the_measured_one(few):
    x, y = clusters(samples=100, classes=10)
    scores = evaluate_features("encoder", x, y, x, y, Protocol(labels_per_class=few))
    found = predict(x, y, few, components=2, c=choose_c(x, y, few))
    assert list(scores)[:3] == ["encoder_probe", "encoder_c", "encoder_predicted_probe"]
    assert scores["encoder_c"] == choose_c(x, y, few)
    values = [scores[f"encoder_predicted_probe{end}"] for end in ("", "_low", "_high")]
    assert values == [found.accuracy, found.low, found.high]


def test_a_prediction_that_cannot_be_made_is_left_out_and_shown_as_a_dash(run):
    wide, y = np.random.default_rng(0).standard_normal((100, 95)).astype(np.float32), np.arange(100) % 10
    scores = evaluate_features("encoder", wide, y, wide, y)
    assert set(scores) == {"encoder_probe", "encoder_c", "encoder_knn"}
    narrow = evaluate_features("projector", wide[:, :5], y, wide[:, :5], y)
    lines = describe({**scores, **narrow}).splitlines()
    assert lines[0].split() == ["linear", "probe", "C", "predicted", "kNN", "(200)"]
    assert lines[1].split()[2:4] == [f"{scores['encoder_c']:g}", "—"]
    assert lines[2].split()[3] == f"{100 * narrow['projector_predicted_probe']:.2f}%"
    assert lines[-1] == "  predicted: the probe's accuracy at this C, from the training features and their labels alone"
    assert "predicted" not in describe({**scores, "projector_probe": 0.5, "projector_knn": 0.5})


# --- protocols -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "settings_of"),
    [
        ("cifar100", "cifar100"),
        ("npz:/data/stl10.npz", "stl10"),
        ("folder:/data/Tiny-ImageNet", "tiny-imagenet"),
        ("folder:/data/imagenet/", "imagenet"),
        ("digits", "cifar10"),
        ("npz:/data/cifar10-old.npz", "cifar10"),
    ],
)
def test_the_papers_probe_has_its_settings_for_the_data(data, settings_of):
    found = Protocol.named("paper", data)
    assert found.steps == (STATED[settings_of].probe_batch, STATED[settings_of].probe_rate)
    assert found.settings_of in (settings_of, None)
    batch, rate = found.steps
    said = f"for {settings_of}: SGD on frozen features, all labels, batch {batch}, learning rate {rate:g}"
    assert said in found.words


def test_only_adnce_votes_with_the_training_temperature():
    assert Protocol.named("adnce", training_tau=0.3).tau == 0.3
    assert Protocol.named("adnce", training_tau=0.3, tau=0.2).tau == 0.2
    assert Protocol.named("lbfgs", training_tau=0.3).tau == 0.1
    assert (DEFAULT.k, DEFAULT.tau) == (200, 0.1)


def test_a_protocol_is_read_again():
    for name in ("lbfgs", "lbfgs-c1", "sgd", "both", "paper", "adnce"):
        found = Protocol.named(name, "cifar100", 0.3)
        assert Protocol.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_earlier_results_had_c_1_and_20_neighbours():
    earlier = {"probe": "lbfgs", "labels_per_class": 5, "draws": 50, "k": 20, "tau": 0.1}
    assert Protocol.from_json(earlier) == replace(EARLIER, labels_per_class=5)
    assert Protocol.from_json({**earlier, "labels_per_class": None, "probe": "sgd"}) == replace(EARLIER, probe="sgd")
    assert Protocol.from_json(None) == EARLIER
    assert (EARLIER.probe, EARLIER.c, EARLIER.k) == ("lbfgs-c1", 1.0, 20)


def test_every_protocol_scores_by_what_it_names():
    x, y = clusters(100, 10, 0.3)
    data = x, y, x, y
    scored = {name: evaluate_features("e", *data, Protocol(name)) for name in ("lbfgs-c1", "sgd", "paper")}
    assert scored["lbfgs-c1"]["e_probe"] == linear_probe(*data, c=1.0)
    assert scored["lbfgs-c1"]["e_c"] == 1
    assert scored["sgd"]["e_probe"] == sgd_probe(*data)
    assert scored["paper"]["e_probe"] == sgd_probe(*data, lr=1.0, batch=512, standardised=False)
    assert set(scored["paper"]) == {"e_probe", "e_knn"}
    both = evaluate_features("e", *data, Protocol("both"))
    assert both["e_probe"] == linear_probe(*data)
    assert both["e_sgd_probe"] == sgd_probe(*data)


def test_the_probe_on_views_moves_statistics_of_a_copy_alone(run):
    _, network = run
    before, seen = fingerprint(network), []
    images = TINY.data_set()
    first = augmented_probe(network, images, TINY.augmentation, epochs=3, batch=30, progress=lambda *p: seen.append(p))
    assert fingerprint(network) == before
    assert seen == [(step, 12, (step + 3) // 4) for step in range(1, 13)]
    assert augmented_probe(network, images, TINY.augmentation, epochs=3, batch=30) == first
    assert set(first) == {"encoder", "projector"}


def test_the_probe_on_views_is_a_layer_on_a_training_encoder(run):
    """The plain loop of the authors' code, on the encoder's features."""
    _, network = run
    images, view = TINY.data_set(), TINY.augmentation
    copied, order, views = copy.deepcopy(network).train(), *(torch.Generator().manual_seed(0) for _ in range(2))
    torch.manual_seed(0)
    layer = torch.nn.Linear(network.features, 10)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01, weight_decay=1e-6)
    for _ in range(4):
        for rows in torch.randperm(100, generator=order).split(30):
            with torch.no_grad():
                h, _ = copied(view(images.x_train[rows], views))
            loss = torch.nn.functional.cross_entropy(layer(h), images.y_train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    h, _ = copied.eval()((images.x_test / 255).float())
    expected = (layer(h).argmax(dim=1) == images.y_test).float().mean()
    found = augmented_probe(network, images, view, epochs=4, batch=30, lr=0.01)
    assert found["encoder"] == pytest.approx(float(expected), abs=0.011)
    plain = network((images.x_test / 255).float())[0]
    assert not torch.allclose(plain, h, atol=1e-3)  # the statistics have moved


def test_a_last_image_alone_is_left_out_of_the_probe_on_views(run):
    _, network = run
    steps = []
    augmented_probe(network, TINY.data_set(), TINY.augmentation, 1, 33, progress=lambda *p: steps.append(p))
    assert len(steps) == 3  # of 33, 33, 33, and not 1, of which batch norm has no variance


def test_adnce_needs_views_and_names_what_it_did(run, monkeypatch):
    _, network = run
    images = TINY.data_set()
    with pytest.raises(ParameterError, match="protocol = adnce violates a protocol without views"):
        evaluate_network(network, images, Protocol("adnce"))
    accuracies = {"encoder": 0.25, "projector": 0.5}
    monkeypatch.setattr("empirical.evaluate.scoring.augmented_probe", lambda *_, **__: accuracies)
    scores = evaluate_network(network, images, Protocol("adnce"), TINY.augmentation)
    assert (scores["encoder_probe"], scores["projector_probe"]) == (0.25, 0.5)
    assert "Wu et al.'s: Adam on augmented images" in describe(scores, Protocol("adnce"))


# --- networks --------------------------------------------------------------------------------------


def test_unlabelled_images_are_not_probed(run):
    _, network = run
    images = TINY.data_set()
    few = replace(images, x_train=images.x_train[:50], y_train=images.y_train[:50])
    hidden = images.y_train.clone()
    hidden[50:] = -1
    expected = evaluate_network(network, few)
    assert evaluate_network(network, replace(images, y_train=hidden)) == expected


def test_fingerprint_sees_batch_norm_statistics(run):
    _, network = run
    before = fingerprint(network)
    norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_mean += 1e-3
    assert fingerprint(network) != before
    norm.running_mean -= 1e-3


def test_command(run, capsys):
    path, _ = run
    assert main(["--checkpoint", str(path), "--labels-per-class", "3", "--draws", "2"]) == 0
    out = capsys.readouterr().out
    assert "encoder" in out
    said = "protocol lbfgs: L-BFGS on standardised frozen features, 3 labels per class, 2 draws, C by cross-validation"
    assert said in out
    assert "kNN: 200 neighbours, weights e^(cos/0.1)" in out
    assert main(["--checkpoint", str(path), "--json", "--protocol", "paper", "--knn-neighbours", "20"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["encoder_probe"] <= 1
    assert "encoder_c" not in found
    expected = {"probe": "paper", "labels_per_class": None, "draws": 50, "k": 20, "tau": 0.1, "settings_of": None}
    assert {name: found["protocol"][name] for name in expected} == expected
    assert "for cifar10: SGD on frozen features, all labels, batch 512, learning rate 1" in found["protocol"]["words"]
    assert main(["--checkpoint", str(path), "--json", "--protocol", "paper", "--stated", "stl10"]) == 0
    assert (
        "for stl10: SGD on frozen features, all labels, batch 256"
        in json.loads(capsys.readouterr().out)["protocol"]["words"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels-per-class", "11"], "labels_per_class = 11"),
        (["--draws", "0"], "draws = 0"),
        (["--stated", "stl10"], "--stated goes with --protocol paper"),
        (["--protocol", "sgdd"], "did you mean sgd?"),
        (["--protocol", "adnce", "--labels-per-class", "3"], "protocol = adnce violates lbfgs or lbfgs-c1, where"),
        (["--protocol", "sgd", "--labels-per-class", "3"], "protocol = sgd"),
        (["--knn-neighbours", "0"], "knn_neighbours = 0"),
        (["--knn-tau", "0"], "knn_tau = 0"),
        (["--data", "npz:none.npz"], "cannot read none.npz"),
    ],
)
def test_bad_input(run, arguments, message, capsys):
    assert main(["--checkpoint", str(run[0]), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


# --- one's own features ----------------------------------------------------------------------------


def test_every_fifth_row_of_a_class_is_for_testing():
    x, y = clusters(61)
    found = halves(read_samples(x, y))
    tested = [i for c in range(3) for i in np.flatnonzero(y == c)[4::5]]
    assert sorted(map(tuple, found.x_test)) == sorted(map(tuple, x[tested]))
    assert len(found.x) + len(found.x_test) == 61
    np.testing.assert_array_equal(found.x, np.delete(x, tested, axis=0))
    np.testing.assert_array_equal(found.y, np.delete(y, tested))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-1, 2)), min_size=20, max_size=60))
def test_no_copy_is_in_both_halves(rows):
    """Whatever its label."""
    x = np.array([[value, 1.0] for value, _ in rows])
    y = np.array([label for _, label in rows])
    try:
        found = halves(read_samples(x, y))
    except ParameterError:
        return
    assert not {*map(tuple, found.x)} & {*map(tuple, found.x_test)}
    assert len(found.y) + len(found.y_test) == (y >= 0).sum()
    for row, first in enumerate(found.copies):
        assert (found.x[row] == found.x[first]).all()


def test_classes_of_two_files_go_by_their_names():
    (x, y), (t, z) = clusters(60), clusters(30, seed=1)
    first, second = np.array(["cup", "jug", "mug"]), np.array(["mug", "cup", "jug"])
    ordered = np.array([first.tolist().index(name) for name in second])
    found = halves(read_samples(x, first[y]), read_samples(t[z != 0], second[z[z != 0]]))
    np.testing.assert_array_equal(found.y_test, ordered[z[z != 0]])
    np.testing.assert_array_equal(found.y, y)
    assert reading_of_test(
        read_samples(x, y), read_samples(np.concatenate([t, x[:4]]), np.concatenate([z, y[:4]]))
    ).line.endswith("noted 4 test rows that are training rows")


@pytest.mark.parametrize(
    ("own", "test", "words"),
    [
        ((clusters()[0], None), None, "--labels or --label-column is required"),
        ((clusters()[0], np.full(60, -1)), None, "labels of some rows"),
        ((clusters(8)[0], np.arange(8) % 4), None, "5 of one class"),
        ((clusters()[0], np.zeros(60, dtype=int)), None, "1 class to train on violates two"),
        ((clusters()[0], np.zeros(60, dtype=int)), (clusters()[0], np.zeros(60, dtype=int)), "1 class to train on"),
        (clusters(), (np.ones((6, 4)) * np.arange(1, 7)[:, None], np.arange(6) % 3), "4 columns"),
        (clusters(), (clusters(12, 4)[0][:, :5], np.arange(12) % 4), "1 class"),
        ((clusters()[0], np.array(list("abc"))[clusters()[1]]), clusters(12, seed=2), "integers in one file"),
    ],
)
def test_features_that_cannot_be_evaluated(own, test, words):
    with pytest.raises(ParameterError, match=words):
        halves(read_samples(*own), None if test is None else read_samples(*test))


def test_the_command_scores_features(tmp_path, capsys):
    (x, y), (t, z) = clusters(60, spread=1.0), clusters(40, spread=1.0, seed=1)
    for name, array in {"x": x, "y": y, "t": t, "z": z}.items():
        np.save(tmp_path / f"{name}.npy", array)
    own = ["--features", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "--knn-neighbours", "5"]
    tested = ["--test-features", str(tmp_path / "t.npy"), "--test-labels", str(tmp_path / "z.npy")]
    assert main([*own, *tested, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["encoder_probe"] == linear_probe(x, y, t, z, c=document["encoder_c"])
    assert document["encoder_knn"] == knn(x, y, t, z, 5, 0.1)
    assert (document["train"], document["test"]) == (60, 40)
    assert main(own) == 0
    said = capsys.readouterr()
    assert "x.npy: 48 rows to train on, 12 to test on" in said.out
    assert "projector" not in said.out
    assert said.err.startswith("read x.npy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "one of --checkpoint and --features is required"),
        ("--checkpoint a --features b", "one of --checkpoint and --features is required"),
        ("--checkpoint a --labels b", "--labels goes with --features"),
        ("--features a --labels b --data digits", "--data goes with --checkpoint"),
        ("--features a --labels b --test-labels c", "--test-labels goes with --test-features"),
        ("--features a --labels b --protocol adnce", "--protocol adnce trains on views"),
        ("--features a --labels b --trust-encoder m:f", "--trust-encoder goes with --checkpoint"),
    ],
)
def test_sources_that_do_not_go_together(arguments, words, capsys):
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
