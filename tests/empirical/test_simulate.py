import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from empirical.simulate import sampled as module
from empirical.simulate.__main__ import main
from empirical.simulate.sampled import (
    COLUMNS,
    Settings,
    World,
    descend_exactly,
    largest_angle,
    leading_space,
    recorded_steps,
    simulate,
    train,
)
from theory.checks import ParameterError
from theory.mitigation import target, weighted_factorisation
from theory.params import GraphParameters

TINY = GraphParameters(0.5, 0.2, 0.4, 2, 2, 1)
# Class modes above the bridge, and turned by 12° against the clean ones.
TURNED = GraphParameters(0.6, 0.1, 0.49, 4, 3, 1)
# A bridge above the class modes: of the five class directions k = 6 = r + 1 holds four.
BRIDGED = GraphParameters(0.6, 0.2, 0.55, 3, 6, 2, pairing="matched")
REMEDIES = ("nothing", "margin", "temperature")


def settings(graph=TURNED, dim=3, **changes):
    return Settings(graph, dim, **changes)


def random_table(world, seed=0):
    return 0.5 * torch.from_numpy(np.random.default_rng(seed).standard_normal((len(world.share), world.settings.dim)))


def gradient(loss, table, *views):
    table = table.clone().requires_grad_()
    return torch.autograd.grad(loss(table, *views), table)[0]


# --- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("remedy", "batch"), [*((remedy, 2) for remedy in REMEDIES), ("margin", 3)])
def test_spectral_batches_have_the_populations_loss_and_gradient_exactly(remedy, batch):
    """Over all batches, each with its probability from the table of joint frequencies."""
    world = World(settings(TINY, 2, remedy=remedy, batch=batch), torch.float64)
    pairs = list(itertools.product(range(TINY.nodes), repeat=2))

    def expected(table):
        total = 0.0
        for drawn in itertools.product(pairs, repeat=batch):
            first, second = torch.tensor(drawn).T
            total = total + world.joint[first, second].prod() * world.batch_loss(table, first, second)
        return total

    table = random_table(world)
    torch.testing.assert_close(expected(table), world.population_loss(table), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        gradient(expected, table), gradient(world.population_loss, table), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("graph", [TURNED, replace(BRIDGED, pairing="block", gamma=0.4)])
@pytest.mark.parametrize("remedy", REMEDIES)
def test_gradients_of_drawn_batches_average_to_the_populations(graph, remedy):
    world = World(settings(graph, 3, remedy=remedy, batch=64), torch.float64)
    table, rng, batches = random_table(world), np.random.default_rng(1), 400
    drawn = torch.stack([gradient(world.batch_loss, table, *world.draw(64, rng)) for _ in range(batches)])
    error = drawn.std(dim=0) / math.sqrt(batches)
    z = (drawn.mean(dim=0) - gradient(world.population_loss, table)) / error
    assert z.abs().max() < 5  # of at most 54 entries
    assert error.max() < 0.2 * drawn.mean(dim=0).abs().max()


def naive_cosine_loss(s, f, nodes, paired, size):
    """The definition, anchor by anchor."""
    from theory.formulas import margin_sigma, temperature_rho

    cosines = (f[nodes] @ f[nodes].T).tolist()
    total = 0.0
    for i in range(2 * size):
        others = [j for j in range(2 * size) if j % size != i % size]
        q = [math.exp(-((cosines[i][j] - s.mu) ** 2) / (2 * s.sigma**2)) if s.loss == "adnce" else 1 for j in others]
        positive = math.exp(cosines[i][(i + size) % (2 * size)] / s.tau)
        denominator = positive
        for j, weight in zip(others, q, strict=True):
            c, scale = cosines[i][j], 1.0
            if paired[nodes[i], nodes[j]] and s.remedy == "margin":
                c += margin_sigma(s.graph)
            if paired[nodes[i], nodes[j]] and s.remedy == "temperature" and c > 0:
                scale = temperature_rho(s.graph)
            denominator += weight * len(q) / sum(q) * math.exp(c / (s.tau * scale))
        total -= math.log(positive / denominator)
    return total / (2 * size)


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("loss", ["infonce", "adnce"])
def test_cosine_losses_equal_their_double_loop(loss, remedy):
    s = settings(TURNED, 3, loss=loss, remedy=remedy, batch=20)
    world = World(s, torch.float64)
    table, (first, second) = random_table(world), world.draw(20, np.random.default_rng(2))
    label, sample = np.arange(12) // 4, np.arange(12) % 4
    difficult = sample < TURNED.n_d
    paired = (label[:, None] != label) & difficult[:, None] & difficult & (sample[:, None] == sample)
    f = torch.nn.functional.normalize(table, dim=1)
    expected = naive_cosine_loss(s, f, torch.cat([first, second]).numpy(), paired, 20)
    assert float(world.batch_loss(table, first, second)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_adnce_with_wide_weights_is_infonce(remedy):
    plain, wide = (World(settings(loss=loss, remedy=remedy, sigma=1e5), torch.float64) for loss in ("infonce", "adnce"))
    table, views = random_table(plain), plain.draw(30, np.random.default_rng(3))
    for name, arguments in (("batch_loss", views), ("population_loss", ())):
        first, second = (gradient(getattr(w, name), table, *arguments) for w in (plain, wide))
        torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-10)


def test_infonce_of_a_batch_tends_to_the_populations_with_the_bias_of_its_negatives():
    """With M = 2B−2 negatives in pairs, log of their mean and the positive's share bias it by O(1/M)."""
    batch, batches = 64, 1500
    world = World(settings(loss="infonce", batch=batch), torch.float64)
    table, rng, negatives = random_table(world), np.random.default_rng(4), 2 * batch - 2
    f = world.embeddings(table)
    w = (f @ f.T / world.settings.tau).exp()
    w = w / (w @ world.share)[:, None]
    second_moment = w.square() @ world.share + ((w @ world.joint) * w).sum(dim=1) - 2  # Var + Cov of two views
    bias = float((world.joint * w).sum() - (world.share * second_moment).sum() / 2) / negatives
    drawn = np.array([float(world.batch_loss(table, *world.draw(batch, rng))) for _ in range(batches)])
    gap = drawn.mean() - math.log(negatives) - float(world.population_loss(table))
    error = drawn.std() / math.sqrt(batches)
    assert abs(gap - bias) < 5 * error + 10 * bias**2


# --- minimisers ------------------------------------------------------------------------------------


def spectral_minimiser(goal, dim):
    values, vectors = np.linalg.eigh(goal)
    return vectors[:, -dim:] * np.sqrt(values[-dim:])


@pytest.mark.parametrize("graph", [TURNED, BRIDGED, replace(BRIDGED, pairing="block", gamma=0.4)])
def test_population_gradient_vanishes_at_the_theorems_minimisers(graph):
    clean, dim = target(graph.clean()).matrix(), graph.classes
    minimisers = {
        "nothing": spectral_minimiser(target(graph).matrix(), dim),
        "margin": spectral_minimiser(clean, dim),
        "temperature": weighted_factorisation(graph, dim).features,
    }
    for remedy in minimisers:
        world = World(settings(graph, dim, remedy=remedy), torch.float64)
        slopes = {name: gradient(world.population_loss, torch.from_numpy(f)).norm() for name, f in minimisers.items()}
        assert slopes[remedy] < 1e-5
        assert all(slope > 1e-2 for name, slope in slopes.items() if name != remedy)


@pytest.mark.parametrize("graph", [TURNED, BRIDGED, replace(BRIDGED, pairing="block", gamma=0.4)])
def test_with_the_theorems_margins_the_difficult_worlds_loss_is_the_clean_ones_up_to_a_constant(graph):
    margin = World(settings(graph, 4, remedy="margin"), torch.float64)
    clean = World(settings(graph.clean(), 4), torch.float64)
    plain = World(settings(graph, 4), torch.float64)
    tables = [random_table(margin, seed) for seed in range(4)]
    for world, same in ((margin, True), (plain, False)):
        constants = [float(world.population_loss(t) - clean.population_loss(t)) for t in tables]
        assert (np.ptp(constants) < 1e-12) == same
        slopes = [gradient(w.population_loss, tables[0]) for w in (world, clean)]
        assert torch.allclose(*slopes, rtol=0, atol=1e-12) == same


# --- training --------------------------------------------------------------------------------------


def predicted_sine(s, goal, seed=0):
    """Root mean square sine of the largest angle that the gradient's noise leaves after training, to first order.

    Across the leading space the spectral loss has curvature at least 4(λ_k − λₖ₊₁), and every column of the
    minimiser at least the length √λ_k. The noise is measured at the minimiser.
    """
    world, values = World(s, torch.float64), np.linalg.eigvalsh(goal)[::-1]
    best = torch.from_numpy(spectral_minimiser(goal, s.dim))
    leading = torch.linalg.qr(best).Q
    rng, noise = np.random.default_rng([seed, 99]), []
    for _ in range(100):
        across = gradient(world.batch_loss, best, *world.draw(s.batch, rng))
        noise.append(float((across - leading @ (leading.T @ across)).square().sum()))
    curvature, square = 4 * (values[s.dim - 1] - values[s.dim]), 0.0
    for step in range(s.steps):
        rate = s.lr * (1 - step / s.steps)
        square = (1 - rate * curvature) ** 2 * square + rate**2 * np.mean(noise)
    return math.sqrt(square / values[s.dim - 1])


def final(s, seeds):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RECORDS", 2)  # the probes of all records would take longer than the training
        return pd.DataFrame([train(s, seed)[-1] for seed in seeds], columns=list(COLUMNS))


SEEDS = range(3)
ALLOWANCE = 1 + 5 * math.sqrt(2 / len(SEEDS))  # the mean of squares has a relative error of at most √(2/seeds)


@pytest.mark.parametrize(
    ("remedy", "reached", "left"), [("nothing", "difficult", "clean"), ("margin", "clean", "difficult")]
)
def test_training_reaches_the_theorems_minimiser_and_not_the_other(remedy, reached, left):
    s = settings(remedy=remedy, steps=800, batch=256, lr=0.02)
    goal = target(TURNED.clean() if remedy == "margin" else TURNED).matrix()
    between = math.radians(largest_angle(leading_space(TURNED, 3), leading_space(TURNED.clean(), 3)))
    tolerance = math.sqrt(ALLOWANCE) * predicted_sine(s, goal)
    assert 2 * tolerance < math.sin(between)
    found = final(s, SEEDS)
    near, far = (np.sin(np.radians(found[f"angle_{name}"])) for name in (reached, left))
    assert math.sqrt(np.mean(near**2)) < tolerance
    assert far.min() > math.sin(between) / 2


def test_only_with_a_remedy_does_training_find_all_classes_where_a_bridge_is_above_them():
    """At k = r + 1 every minimiser without a remedy misses a class direction: its angle to the clean space is 90°."""
    assert leading_space(BRIDGED, 6).shape == (18, 2)  # trivial and bridge; the class modes do not fit
    s = settings(BRIDGED, 6, steps=1000, batch=128, lr=0.08)
    with_margin = replace(s, remedy="margin")
    tolerance = math.sqrt(ALLOWANCE) * predicted_sine(with_margin, target(BRIDGED.clean()).matrix())
    assert tolerance < math.sin(math.radians(30))
    sines = np.sin(np.radians(final(with_margin, SEEDS)["angle_clean"]))
    assert math.sqrt(np.mean(sines**2)) < tolerance
    found = final(s, SEEDS)
    assert found["angle_clean"].min() > 60
    assert found["angle_difficult"].max() < 30


def test_angles_fall_with_the_number_of_steps():
    """Sixteen times the steps at a quarter of the rate: the noise's part of the angle halves, if not more."""
    short = settings(remedy="margin", steps=60, batch=128)
    long = replace(short, steps=960, lr=short.lr / 4)
    few, many = (final(s, SEEDS)["angle_clean"] for s in (short, long))
    assert (many < few).all()


@pytest.mark.parametrize(("loss", "remedy"), [("infonce", "nothing"), ("adnce", "margin")])
def test_cosine_losses_come_closer_to_where_their_exact_gradient_leads_in_larger_batches(loss, remedy):
    """Eight times the batch divides the noise by √8, the bias of the negatives by 8."""
    small = settings(loss=loss, remedy=remedy, steps=300, batch=12, lr=0.1)
    few, many = (final(s, SEEDS) for s in (small, replace(small, batch=96)))
    assert many["angle_exact"].mean() < few["angle_exact"].mean()
    assert many["loss"].mean() < few["loss"].mean()
    assert (many["probe_error"] == 0).all()


def test_the_exact_gradient_leads_to_the_theorems_minimisers():
    minimisers = {
        "nothing": spectral_minimiser(target(TURNED).matrix(), 3),
        "margin": spectral_minimiser(target(TURNED.clean()).matrix(), 3),
        "temperature": weighted_factorisation(TURNED, 3).features,
    }
    for remedy, features in minimisers.items():
        found = descend_exactly(settings(remedy=remedy, steps=800), 0).numpy()
        np.testing.assert_allclose(found @ found.T, features @ features.T, atol=1e-6)


def test_without_noise_the_margins_training_is_the_clean_worlds_step_by_step():
    for steps in (1, 30, 200):
        margin, clean, plain = (
            descend_exactly(settings(graph, 6, remedy=remedy, steps=steps), 0)
            for graph, remedy in ((BRIDGED, "margin"), (BRIDGED.clean(), "nothing"), (BRIDGED, "nothing"))
        )
        torch.testing.assert_close(margin, clean, rtol=0, atol=1e-10)
        assert not torch.allclose(plain, clean, rtol=0, atol=1e-5)


def test_leading_space_leaves_out_what_fits_in_part_and_the_trivial_direction():
    assert leading_space(BRIDGED, 7).shape[1] == 7
    assert leading_space(BRIDGED, 6, trivial=False).shape[1] == 6
    assert leading_space(BRIDGED, 0).shape[1] == 0
    assert leading_space(BRIDGED.clean(), 8).shape[1] == 6
    disconnected = GraphParameters(0.5, 0.0, 0.0, 3, 3, 0)
    assert leading_space(disconnected, 2).shape[1] == 0
    assert math.isnan(largest_angle(np.eye(9, 2), leading_space(disconnected, 2)))
    without = leading_space(TURNED, 2, trivial=False)
    assert without.shape[1] == 2
    assert largest_angle(leading_space(TURNED, 3), without) == pytest.approx(0, abs=1e-5)


def test_angles_are_those_of_planes():
    plane = np.array([[1.0, 0], [0, math.cos(0.3)], [0, math.sin(0.3)]])
    assert largest_angle(np.eye(3, 2), plane) == pytest.approx(math.degrees(0.3))
    assert largest_angle(np.eye(3), plane) == pytest.approx(0, abs=1e-6)


# --- the command -----------------------------------------------------------------------------------

SHORT = settings(steps=60, batch=16, seeds=2)


@pytest.mark.parametrize(
    "change",
    [
        {"table": np.zeros((3, 2), np.float32)},
        {"table": np.zeros(5, np.float32)},
        {"table": np.full((12, 3), np.nan, np.float32)},
        {"table": np.array("text")},
        {"records": np.zeros((2, 3))},
        {"records": np.zeros((0, len(COLUMNS)))},
        {"records": np.zeros((500, len(COLUMNS)))},
        {"table": None},
        {"records": None},
        None,
    ],
)
def test_a_damaged_checkpoint_is_one_line(tmp_path, change):
    checkpoint = tmp_path / "seed-0.npz"
    one_step = replace(SHORT, steps=1)
    train(one_step, 0, checkpoint)
    with np.load(checkpoint) as found:
        arrays = {name: array for name, array in (dict(found) | (change or {})).items() if array is not None}
    if change is None:
        checkpoint.write_bytes(b"PK garbage")
    else:
        np.savez(checkpoint, **arrays)
    with pytest.raises(ParameterError) as caught:
        train(SHORT, 0, checkpoint)
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)


OPTIONS = {"alpha": 0.6, "beta": 0.1, "gamma": 0.49, "samples-per-class": 4, "classes": 3, "difficult": 1}
OPTIONS |= {"dim": 3, "steps": 60, "batch": 16, "seeds": 2}
COMMAND = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))]


def test_command_writes_what_the_function_returns(tmp_path, capsys):
    assert main([*COMMAND, "--out", str(tmp_path)]) == 0
    assert "2 seeds after 60 steps" in capsys.readouterr().out
    found = pd.read_csv(tmp_path / "results.csv")
    assert tuple(found.columns) == ("seed", *COLUMNS)
    assert list(found.step[found.seed == 1]) == list(recorded_steps(60))
    np.testing.assert_allclose(found[list(COLUMNS)][found.seed == 1], train(SHORT, 1), rtol=1e-12)
    stored = json.loads((tmp_path / "settings.json").read_text())
    assert stored.pop("schema") == module.SCHEMA
    assert stored == SHORT.to_json()


def test_an_interrupted_simulation_goes_on_to_the_same_results(tmp_path, monkeypatch):
    simulate(SHORT, tmp_path / "whole")

    class Interrupted(module.Measurement):
        calls = 0

        def __call__(self, step, table):
            Interrupted.calls += 1
            if Interrupted.calls > 25:
                raise KeyboardInterrupt
            return super().__call__(step, table)

    monkeypatch.setattr(module, "Measurement", Interrupted)
    assert main([*COMMAND, "--out", str(tmp_path / "cut")]) == 130
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "results.csv").exists()
    simulate(SHORT, tmp_path / "cut")
    whole, cut = ((tmp_path / name / "results.csv").read_text() for name in ("whole", "cut"))
    assert cut == whole


def test_other_settings_in_the_same_folder_are_refused_by_name(tmp_path, capsys):
    simulate(SHORT, tmp_path)
    before = (tmp_path / "results.csv").read_text()
    assert main([*COMMAND, "--lr", "0.02", "--out", str(tmp_path)]) == 2
    assert "lr = 0.02 violates lr = 0.05 of the simulation in" in capsys.readouterr().err
    assert (tmp_path / "results.csv").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--difficult", "2", "--gamma", ".55"], "above which no augmentation produces the block graph"),
        (["--dim", "12"], "dim = 12 violates an integer in [1, 11], fewer than the N = 12 nodes"),
        (["--lr", "0"], "lr = 0.0 violates a finite lr > 0"),
        (["--lr", "inf"], "lr = inf violates"),
        (["--batch", "1"], "batch = 1 violates an integer >= 2"),
        (["--steps", "0"], "steps = 0 violates an integer >= 1"),
        (["--steps", "9999999999999"], "violates at most 1e+12"),
        (["--seeds", "0"], "seeds = 0 violates an integer in [1, 10000]"),
        (["--samples-per-class", "1"], "samples_per_class = 1 violates an integer >= 2"),
        (["--samples-per-class", "2000"], "at most 4096 nodes"),
        (["--tau", "nan"], "tau = nan violates"),
        (["--mu", "nan"], "mu = nan violates"),
        (["--remedy", "margin", "--gamma", ".1"], "margins requested where there is no difficult pair"),
        (["--remedy", "temperature", "--beta", "0", "--gamma", ".2"], "beta = 0.0 violates beta > 0"),
        (["--loss", "hinge"], "--loss hinge: not one of spectral, infonce, adnce"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, change, message):
    assert main([*COMMAND, *change, "--out", str(tmp_path / "new")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert message in output.err
    assert not (tmp_path / "new").exists()


def test_a_diverging_rate_is_named():
    with pytest.raises(ParameterError, match="lr = 100.0 violates a lower rate: the loss diverged"):
        train(settings(lr=100.0, steps=50, batch=8), 0)


@pytest.mark.parametrize(("loss", "pairs"), [("spectral", 9), ("infonce", 15)])
def test_pairs_of_a_step_are_counted_once(loss, pairs):
    """Three data have six views: 15 pairs, of which 9 join a first and a second view."""
    assert settings(loss=loss, batch=3).pairs_per_step == pairs


# --- experiments -----------------------------------------------------------------------------------

EXPERIMENT = """
alpha = 0.6
beta = 0.2
gamma = [0.3, 0.4]
samples_per_class = 3
classes = 3
difficult = 1
dim = 3
remedy = ["nothing", "margin"]
steps = 5
batch = 4
seeds = 2
"""


def test_an_experiment_runs_every_combination_and_goes_on_where_it_stopped(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(EXPERIMENT)
    arguments = [str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--jobs", "2"]) == 0
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(zip(table.gamma, table.remedy, strict=True)) == set(itertools.product((0.3, 0.4), ("nothing", "margin")))
    assert pd.read_parquet(tmp_path / "out" / "results.parquet").shape == table.shape
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/seed-*")}
    assert len(before) == 8
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/seed-*")} == before
    (tmp_path / "tiny.toml").write_text(EXPERIMENT.replace("steps = 5", "steps = 6"))
    capsys.readouterr()
    assert main(arguments) == 2
    assert "steps = 6 violates steps = 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXPERIMENT + "colour = 1", "has unknown colour"),
        (EXPERIMENT.replace("dim = 3", ""), "lacks dim"),
        (EXPERIMENT.replace("[0.3, 0.4]", "[]"), "an empty list"),
        (EXPERIMENT.replace("0.4]", "0.7]"), "gamma = 0.7 violates gamma < alpha"),
        (EXPERIMENT.replace("steps = 5", 'steps = "many"'), "steps = many"),
        ("alpha =", "is not TOML"),
    ],
)
def test_a_bad_experiment_is_one_line_and_nothing_written(tmp_path, capsys, text, message):
    (tmp_path / "bad.toml").write_text(text)
    assert main([str(tmp_path / "bad.toml"), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
