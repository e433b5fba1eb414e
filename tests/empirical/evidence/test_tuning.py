"""What the tuning seeds choose."""

import json

import numpy as np
import pandas as pd
import pytest

from empirical.evidence import running, tuning
from empirical.evidence.adapters import TUNING
from empirical.evidence.choices import FILE, Choices, read_choices
from empirical.evidence.design import PARTS, TUNING_SEEDS, Entry
from tests.empirical.evidence.fakes import TUNED, shrink, task
from theory.checks import ParameterError
from theory.engine import HERE


def test_the_grid_is_the_protocols():
    names = [name for name, _ in tuning.grid("cifar10")]
    assert len(names) == len(set(names)) == 10 + 5 + 6 + 5 * 6
    assert [name for name, _ in tuning.grid("cifar100")] == names[:10]
    for name, entry in tuning.grid("cifar10"):
        kind, *values = name.split("-")
        numbers = [float(value) for value in values]
        if kind == "tau":
            assert entry == Entry(tau=numbers[0])
            continue
        assert (entry.arm, entry.tau, entry.sizes) == (kind, "stated", "stated")
        given = {"margin": (numbers[0], None), "temperature": (None, numbers[0]), "combined": tuple(numbers)}[kind]
        assert (entry.given.sigma, entry.given.rho) == given
        assert (entry.given.band, entry.given.stated) == ("paper", "cifar10")


def test_tuning_seeds_are_no_confirmatory_ones(tmp_path):
    assert set(TUNING_SEEDS) == set(range(10)) == set(tuning.SEEDS)
    assert not any(set(part.seeds) & set(TUNING_SEEDS) for part in PARTS.values())
    found = tuning.tasks("cifar10", tmp_path / "v.npz", 0.3, tmp_path)
    assert {(t.number, t.seeds, t.choices.c) for t in found} == {(TUNING, tuple(range(10)), 0.3)}
    assert len({t.path for t in found}) == len(found)


def test_the_most_frequent_value():
    assert tuning.most_frequent([0.1, 0.3, 0.3, 1.0]) == 0.3
    assert tuning.most_frequent([1.0, 0.1, 1.0, 0.1, 3.0]) == 0.1  # of equally frequent ones the smallest


def test_the_best_points_are_chosen():
    generator = np.random.default_rng(0)
    names = [name for name, _ in tuning.grid("cifar10")]
    tried = pd.DataFrame({"bench": "cifar10", "point": names, "accuracy": generator.random(len(names))})
    best = {"tau-0.15", "margin-0.1", "temperature-0.6", "combined-0.3-0.4"}
    tried.loc[tried.point.isin(best), "accuracy"] = 2.0
    other = pd.DataFrame({"bench": "trashnet", "point": names, "accuracy": 3.0})
    found = tuning.chosen("cifar10", 0.3, pd.concat([tried, other]))
    assert (found.c, found.tau) == (0.3, 0.15)
    assert (found.margin.sigma, found.temperature.rho) == (0.1, 0.6)
    assert (found.combined.sigma, found.combined.rho) == (0.3, 0.4)
    small = tuning.chosen(
        "trashnet", 1.0, pd.DataFrame({"bench": "trashnet", "point": names, "accuracy": tried.accuracy})
    )
    assert small == Choices(1.0, 0.15)


def test_choices_come_back_as_they_were(tmp_path):
    document = json.loads(json.dumps({"cifar10": TUNED.to_json(), "trashnet": Choices(1.0, 0.2).to_json()}))
    path = tmp_path / "choices.json"
    path.write_text(json.dumps(document))
    assert read_choices("cifar10", "cifar10", path) == TUNED
    assert read_choices("trashnet", "cifar10", path) == Choices(1.0, 0.2)
    with pytest.raises(ParameterError, match="nothing has been chosen for cifar100"):
        read_choices("cifar100", "cifar100", path)
    with pytest.raises(ParameterError, match="difficult evidence tuning"):
        read_choices("cifar10", "cifar10", tmp_path / "none.json")


@pytest.mark.skipif(not FILE.exists(), reason="nothing has been chosen yet")
def test_committed_choices_lie_on_the_grids():
    document = json.loads(FILE.read_text(encoding="utf-8"))
    for data in document:
        found = read_choices(data, "cifar100" if data == "cifar100" else "cifar10")
        assert found.tau in tuning.TAUS
        if data in tuning.SIZED:
            assert found.margin.sigma in tuning.SIGMAS
            assert found.temperature.rho in tuning.RHOS
            assert (found.combined.sigma, found.combined.rho) in [(s, r) for s in tuning.SIGMAS for r in tuning.RHOS]
            assert {g.band for g in (found.margin, found.temperature, found.combined)} == {"paper"}
        else:
            assert found.margin is found.temperature is found.combined is None


def test_tuning_end_to_end(tmp_path, monkeypatch, no_bar):
    shrink(monkeypatch, tmp_path)
    for name, value in (("TAUS", (0.2, 0.5)), ("SIGMAS", (0.1,)), ("RHOS", (0.5,)), ("SEEDS", (0, 1))):
        monkeypatch.setattr(tuning, name, value)
    running.tune(["cifar10"], {"cifar10": "unused"}, tmp_path, HERE, no_bar)
    document = json.loads((tmp_path / "choices.json").read_text())["cifar10"]
    table = pd.read_csv(tmp_path / "tuning.csv").set_index("point")
    assert list(table.index) == ["tau-0.2", "tau-0.5", "margin-0.1", "temperature-0.5", "combined-0.1-0.5"]
    assert (table.seeds == 2).all()
    accuracy = table.accuracy
    assert document["tau"] == max((0.2, 0.5), key=lambda tau: accuracy[f"tau-{tau:g}"])
    assert document["margin"] == {"sigma": 0.1, "rho": None}
    assert document["combined"] == {"sigma": 0.1, "rho": 0.5}
    chosen_c = json.loads((tmp_path / "runs" / "cifar10" / "c.json").read_text())["c"]
    assert document["c"] == tuning.most_frequent(chosen_c)
    assert len(chosen_c) == 2
    for point, row in table.iterrows():
        with np.load(tmp_path / "runs" / "cifar10" / "tuning" / point / "tuning-0.npz") as found:
            assert row.accuracy == pytest.approx(found["accuracy"].mean(), rel=1e-5)
            assert row.error == pytest.approx(found["accuracy"].std(ddof=1) / 2**0.5, rel=1e-5, abs=1e-9)
    # Resumed: nothing runs again, and the choice stays.
    for module, name in ((running, "execute"), (tuning, "trained")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("ran again"))
    running.tune(["cifar10"], {"cifar10": "unused"}, tmp_path, HERE, no_bar)
    assert json.loads((tmp_path / "choices.json").read_text())["cifar10"] == document


def test_c_is_chosen_on_the_training_rows_of_the_tuning_set(tmp_path, monkeypatch):
    seen = []

    def spy(h, labels):
        seen.append((h.shape, labels))
        return 0.3

    monkeypatch.setattr(tuning, "choose_c", spy)
    base = task(tmp_path)
    monkeypatch.setattr(tuning, "trained", lambda s: (s.network(8, 1, 1).eval(), {}))
    first = tuning.choosing_c("cifar10", base.views, tmp_path)
    assert (first.seeds, first.number, first.entry) == (tuple(range(10)), TUNING, Entry())
    tuning.choose(first)
    with np.load(base.views) as file:
        assert len(seen) == 10
        assert all(shape[0] == len(file["y_train"]) and (y == file["y_train"]).all() for shape, y in seen)
    assert json.loads(tuning.c_file(first).read_text()) == {"c": [0.3] * 10}
