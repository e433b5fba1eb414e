import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad

from empirical.simulate.__main__ import main
from empirical.simulate.closing import CRITIC, TREATED, VECTORS, Population, check, closings, summary
from empirical.simulate.settings import Settings, load_experiment
from theory.checks import ParameterError
from theory.params import GraphParameters

ROOT = Path(__file__).parents[2]
ROOMY = GraphParameters(0.5, 0.3, 0.35, 4, 3, 2)  # the optimum's matrix of cosines is positive definite
TIGHT = replace(ROOMY, beta=0.05)  # and not


def settings(graph=ROOMY, dim=12, tau=0.5):
    return Settings(graph, dim, loss="infonce", tau=tau)


@pytest.mark.parametrize(("sigma", "rho"), [(0.0, 1.0), (0.3, 1.0), (0.0, 0.6), (0.2, 0.7)])
def test_the_population_loss_is_that_of_its_definition(sigma, rho):
    """Pair by pair, with the remedy of ``empirical.losses``."""
    population = Population(TIGHT, 0.4)
    f = np.random.default_rng(0).standard_normal((12, 5))
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    cosines = f @ f.T
    total = 0.0
    for x in range(12):
        mass = 0.0
        for other in range(12):
            s, tau = cosines[x, other], 0.4
            if population.difficult[x, other]:
                s += sigma
                tau *= rho if s > 0 else 1
            mass += population.share[other] * math.exp(s / tau)
            total -= population.joint[x, other] * cosines[x, other] / 0.4
        total += population.share[x] * math.log(mass)
    assert population.loss(cosines, sigma, rho)[0] == pytest.approx(total, rel=1e-12)


def test_the_gradient_is_the_losss():
    population = Population(TIGHT, 0.4)
    start = np.random.default_rng(1).uniform(-0.9, 0.9, 144)

    def loss(flat):
        return population.loss(flat.reshape(12, 12), 0.2, 0.7)[0]

    assert check_grad(loss, lambda flat: population.loss(flat.reshape(12, 12), 0.2, 0.7)[1].ravel(), start) < 1e-6


@pytest.mark.parametrize("sigma", [0.0, 0.25])
def test_a_margin_lowers_the_critics_cosines_by_itself(sigma):
    """Whatever the graph: the optimum's equations hold with s + σ in place of s."""
    population = Population(TIGHT, 0.2)
    expected = population.critic() - sigma * population.difficult
    np.testing.assert_allclose(population.critic(sigma), expected, atol=2e-6)


def test_unit_vectors_with_room_reach_the_critic():
    population = Population(ROOMY, 0.5)
    np.testing.assert_allclose(population.vectors(12), population.critic(), atol=1e-5)


@pytest.mark.parametrize("tau", [0.2, 0.5])
@pytest.mark.parametrize("optimised", [CRITIC, VECTORS])
def test_the_plans_sizes_close_the_gap_where_there_is_room(tau, optimised):
    rows = closings(settings(replace(ROOMY, samples_per_class=8), 24, tau), optimised)
    assert {row.remedy for row in rows} == set(TREATED)
    assert all(row.room for row in rows)
    for row in rows:
        assert row.closed == pytest.approx(1, abs=0.1 if row.number == 1 else 0.01)
        assert row.remedy != "margin" or row.closed == pytest.approx(1, abs=1e-4)


def test_a_temperature_closes_more_where_difficult_pairs_weigh_much():
    """It lets an anchor's c(x) fall: here by more than 10 % of the gap, a margin not at all."""
    first = {row.remedy: row.closed for row in closings(settings()) if row.number == 1}
    assert first["margin"] == pytest.approx(1, abs=1e-4)
    assert 1.1 < first["temperature"] < 1.2


def test_measuring_again_mends_what_the_sphere_bends():
    rows = closings(settings(TIGHT, tau=0.2))
    first, last = ({row.remedy: row.closed for row in rows if row.number == number} for number in (1, 3))
    assert not any(row.room for row in rows)
    assert min(first.values()) < 0.9
    assert all(abs(last[remedy] - 1) < min(0.1, abs(first[remedy] - 1)) for remedy in TREATED)


def test_no_temperature_brings_cosines_below_zero():
    rows = {row.remedy: row for row in closings(settings(TIGHT), CRITIC) if row.number == 1}
    assert rows["margin"].closed == pytest.approx(1, abs=1e-4)
    assert rows["temperature"].closed is None
    assert "brings none below 0" in rows["temperature"].reason
    assert rows["temperature"].beta_z < 0


@pytest.mark.parametrize("loss", ["spectral", "adnce"])
def test_only_infonce_is_checked(loss, tmp_path):
    with pytest.raises(ParameterError, match=f"loss = {loss} violates infonce"):
        check([replace(settings(dim=4), loss=loss)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_clean_graph_has_no_gap():
    with pytest.raises(ParameterError, match="difficult = 4 violates fewer, so that some pairs"):
        Population(replace(ROOMY, difficult=4), 0.5)
    with pytest.raises(ParameterError, match="gamma = 0.3 violates gamma > beta"):
        Population(replace(ROOMY, gamma=0.3), 0.5)


def test_command_writes_the_table(tmp_path, capsys):
    graph = ["--alpha", ".5", "--beta", ".3", "--gamma", ".35", "--samples-per-class", "4", "--classes", "3"]
    command = [*graph, "--difficult", "2", "--dim", "12", "--tau", ".5", "--check-plan", "--out", str(tmp_path)]
    assert main(command) == 0
    table = pd.read_csv(tmp_path / "results.csv", keep_default_na=False, na_values={"dim": [""]})
    assert capsys.readouterr().out.startswith(summary(table.astype({"dim": "Int64"})))
    assert set(table.optimised) == {CRITIC, VECTORS}
    assert (table.difficult == 2).all()
    assert main([*command, "--loss", "adnce"]) == 2
    assert "loss = adnce violates infonce" in capsys.readouterr().err


def test_committed_table_is_of_the_committed_experiment():
    table = pd.read_csv(ROOT / "results" / "plan_check.csv")
    runs = load_experiment(ROOT / "experiments" / "plan_check.toml")
    assert {(run.graph.beta, run.tau, run.dim) for run in runs} == {
        (row.beta, row.tau, row.dim) for row in table.itertuples() if row.optimised == VECTORS
    }
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    assert summary(table.astype({"dim": "Int64"})) in page


def test_a_row_of_the_committed_table_is_found_again():
    table = pd.read_csv(ROOT / "results" / "plan_check.csv")
    run = next(r for r in load_experiment(ROOT / "experiments" / "plan_check.toml") if r.tau == 0.5)
    found = closings(run)
    rows = table[(table.optimised == VECTORS) & (table.beta == run.graph.beta) & (table.tau == 0.5)]
    rows = rows[rows.dim == run.dim]
    assert [row.closed for row in found] == pytest.approx(rows.closed.tolist(), abs=2e-3)
