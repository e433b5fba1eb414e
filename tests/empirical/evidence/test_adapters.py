"""Runs of instrument A on small files of cached views."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from empirical.arms import NotApplicable
from empirical.evaluate.probes import probe
from empirical.evidence import adapters
from empirical.evidence.adapters import (
    PILOT_SEED,
    TUNING,
    base_settings,
    dropped,
    execute,
    outcome,
    pilot,
    prepare,
    remedy_of,
    settings_of,
)
from empirical.evidence.design import BENCHES, PARTS, REMOVED, SAS, SPLITS, Entry, Split
from empirical.paper import STATED
from tests.empirical.evidence.fakes import CLASSES, EXTRA, IMAGES, TEST, TUNED, task, write_views
from theory.plan import Plan

PRIMARY, TABLES = PARTS["primary"].entries, PARTS["tables"].entries


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(adapters, "STEPS", 5)
    monkeypatch.setitem(SPLITS, "cifar10", Split(IMAGES, 2, EXTRA))
    monkeypatch.setitem(BENCHES, "cifar10-tail", replace(BENCHES["cifar10-tail"], imbalance=2))  # leaves a batch


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A task whose training set has been prepared."""
    out = tmp_path_factory.mktemp("ready")
    base = task(out, bench="cifar10")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapters, "STEPS", 5)
        prepare(base)
    return base


# --- settings --------------------------------------------------------------------------------------


def test_a_run_takes_as_many_epochs_as_the_steps_need(monkeypatch, tmp_path):
    views = write_views(tmp_path / "v.npz", images=600)  # two batches of 256
    monkeypatch.setattr(adapters, "STEPS", 95)
    s = base_settings(BENCHES["cifar10"], views, 0.5)
    assert s.epochs == 48
    monkeypatch.setattr(adapters, "STEPS", 4)
    assert base_settings(BENCHES["cifar10"], views, 0.5).epochs == 5  # the preset's
    tail = base_settings(BENCHES["cifar10-tail"], views, 0.5)
    assert tail.imbalance == 2
    assert len(tail.data_set().y_train) < len(tail.original_data_set().y_train) == 600
    assert (s.encoder, s.width, s.layers, s.dim, s.batch) == ("adapter", 256, 1, 64, 256)


@pytest.mark.parametrize("part", PARTS)
def test_every_entrys_settings(part, ready):
    """Seed, arm, temperature and constants of the protocol; only what the entry names differs from the baseline."""
    bench = PARTS[part].bench
    stated = STATED[BENCHES[bench].stated]
    base = replace(ready, bench=bench)
    plain = settings_of(replace(base, entry=Entry()), 11)
    for name, entry in PARTS[part].entries.items():
        if entry.drop is not None or entry.sizes == "derived":
            continue
        if entry.given.rho is not None and entry.given.rho > 1:
            with pytest.warns(UserWarning, match="above 1"):
                s = settings_of(replace(base, name=name, entry=entry), 11)
        else:
            s = settings_of(replace(base, name=name, entry=entry), 11)
        assert s.seed == 11
        assert s.arm == entry.arm
        assert s.tau == (TUNED.tau if entry.tau == "best" else stated.tau)
        changed = {"arm", "tau", "loss", "remedy", *entry.settings}
        assert replace(s, **{n: getattr(plain, n) for n in changed}) == plain
        if entry.arm.startswith("paper") and entry.given == Entry().given and "_all" not in name:
            assert s.remedy.as_printed
            assert (s.remedy.pos_high, s.remedy.pos_low) == (stated.pos_high, stated.pos_low)
            assert s.remedy.sigma in (0, stated.sigma)
            assert s.remedy.rho in (1, stated.rho)
            assert (s.remedy.sigma, s.remedy.rho) != (0, 1) or s.remedy.remove
    assert plain.remedy is None


def test_entries_that_take_other_losses_and_frameworks(ready):
    moco = settings_of(replace(ready, entry=TABLES["moco-paper_combined"]), 10)
    assert (moco.framework, moco.queue, moco.arm) == ("moco", 1024, "paper_combined")
    adnce = settings_of(replace(ready, entry=PARTS["rivals"].entries["adnce-best_tau"]), 10)
    assert (adnce.loss, adnce.tau) == ("adnce", TUNED.tau)
    assert settings_of(replace(ready, entry=Entry(tau=0.07)), 10).tau == 0.07
    row = settings_of(replace(ready, entry=TABLES["paper_combined-row"]), 10)
    assert row.remedy.select == "row"
    assert settings_of(replace(ready, entry=TABLES["paper_combined_projector"]), 10).remedy.space == "projector"


def test_tuned_derived_and_stated_differ_by_sigma_and_rho_alone(ready):
    plan = Plan.load(pilot(ready) / "plan.json")
    for arm in ("margin", "temperature", "combined"):
        stated = remedy_of(replace(ready, entry=TABLES[f"{arm}-stated"]))
        tuned = remedy_of(replace(ready, entry=PARTS["sizes"].entries[f"{arm}-tuned"]))
        given = getattr(TUNED, arm)
        assert (tuned.sigma, tuned.rho) == (given.sigma or 0, given.rho or 1)
        assert replace(tuned, sigma=stated.sigma, rho=stated.rho) == stated
        assert (stated.pos_high, stated.pos_low, stated.as_printed) == (0.15, 0.22, False)
        try:
            derived = remedy_of(replace(ready, entry=Entry(arm, sizes="derived")))
        except NotApplicable:
            continue
        sizes = plan.nt_xent if hasattr(plan, "nt_xent") else plan.sizes("nt_xent")
        known = {"margin": (sizes.margin_sigma, 1), "temperature": (0, sizes.temperature_rho)}
        assert (derived.sigma, derived.rho) == known.get(arm, (sizes.combined_sigma, sizes.combined_rho))
        assert replace(derived, sigma=stated.sigma, rho=stated.rho) == stated


# --- runs ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_the_loss_alone_makes_a_difference(tmp_path):
    base = task(tmp_path)
    first, again = (outcome(base, 10) for _ in range(2))
    assert (first.correct == again.correct).all()
    drop = ("seconds",)
    assert {k: v for k, v in first.numbers.items() if k not in drop} == {
        k: v for k, v in again.numbers.items() if k not in drop
    }
    other = outcome(replace(base, entry=PRIMARY["paper_temperature"]), 10)
    assert other.numbers["loss"] != first.numbers["loss"]
    assert outcome(base, 11).numbers["loss"] != first.numbers["loss"]
    # The flags of the paper's selector: its band holds 7 % of the pairs.
    assert other.numbers["flagged_share"] == pytest.approx(0.07, abs=0.01)
    assert 0 < other.numbers["flagged_across"] < 1


def test_accuracies_are_of_all_and_of_the_test_images(tmp_path):
    found = outcome(task(tmp_path), 10)
    assert len(found.correct) == TEST + EXTRA
    assert found.numbers["accuracy"] == pytest.approx(found.correct.mean())
    assert found.numbers["official"] == pytest.approx(found.correct[:TEST].mean())
    assert found.numbers["accuracy"] > 1.5 / CLASSES
    assert 1 / CLASSES < found.numbers["predicted"] <= 1
    tuning = outcome(task(tmp_path, number=TUNING, views=tmp_path / "tuning.npz"), 10)
    assert tuning.numbers["official"] == tuning.numbers["accuracy"]  # all of them judge


def test_nothing_is_trained_for_frozen_and_untrained_rows(monkeypatch, tmp_path):
    monkeypatch.setattr(adapters, "trained", lambda s: pytest.fail("trained"))
    base = task(tmp_path)
    with np.load(base.views) as file:
        model = probe(file["x_train"], file["y_train"], TUNED.c)
        expected = model.predict(file["x_test"]) == file["y_test"]
    frozen = [outcome(replace(base, entry=TABLES["frozen"]), seed) for seed in (10, 11)]
    assert (frozen[0].correct == expected).all()
    assert (frozen[0].correct == frozen[1].correct).all()
    untrained = [outcome(replace(base, entry=TABLES["untrained"]), seed) for seed in (10, 11)]
    assert untrained[0].numbers["predicted"] != untrained[1].numbers["predicted"]
    assert "loss" not in untrained[0].numbers


def test_probes_see_the_original_balanced_images(monkeypatch, tmp_path):
    """Mixtures, a long tail and images that are left out change what is trained on, not what is probed."""
    seen = []

    def spy(h, labels, c):
        seen.append((h, labels, c))
        return probe(h, labels, c)

    monkeypatch.setattr(adapters, "probe", spy)
    views = write_views(tmp_path / "mixed.npz", omega=0.2, images=600)
    for bench, entry in (
        ("cifar10-mixed20", Entry(frozen=True)),
        ("cifar10-tail", Entry()),
        ("cifar10", Entry(drop="random")),
    ):
        outcome(task(tmp_path, entry, bench=bench, views=views), 10)
    with np.load(views) as file:
        assert np.array_equal(seen[0][0], file["x_original"])
        assert not np.array_equal(file["x_original"], file["x_train"])
        for _, labels, c in seen:
            assert np.array_equal(labels, file["y_train"])
            assert c == TUNED.c


def test_a_task_is_written_once(monkeypatch, tmp_path):
    base = task(tmp_path, PRIMARY["random_removed"], name="random_removed")
    execute(base)
    with np.load(base.path) as found:
        correct = np.unpackbits(found["correct"], axis=1, count=int(found["images"])).astype(bool)
        assert found["seeds"].tolist() == [10, 11]
        assert found["accuracy"] == pytest.approx(correct.mean(axis=1))
        assert found["official"] == pytest.approx(correct[:, :TEST].mean(axis=1))
        assert np.isfinite(found["predicted"]).all()
    assert (correct[0] == outcome(base, 10).correct).all()
    before = base.path.stat().st_mtime_ns
    monkeypatch.setattr(adapters, "outcome", lambda *_: pytest.fail("ran again"))
    execute(base)
    assert base.path.stat().st_mtime_ns == before
    assert base.path == tmp_path / "runs" / "cifar10" / "random_removed" / "0-10.npz"


def test_an_interrupted_task_leaves_nothing(monkeypatch, tmp_path):
    base = task(tmp_path)

    def stop(_, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(adapters, "outcome", stop)
    with pytest.raises(KeyboardInterrupt):
        execute(base)
    assert not base.path.exists()


# --- pilot and left-out images -------------------------------------------------------------------


def test_the_pilot_is_done_once_and_with_a_seed_of_its_own(ready, monkeypatch):
    folder = pilot(ready)
    names = {"gaps.npy", "sas0.npy", "sas1.npy", "sas2.npy", "plan.json", "profile.json"}
    assert {path.name for path in folder.iterdir()} == names
    for name in names:
        if name.endswith(".npy"):
            assert np.load(folder / name).shape == (IMAGES,)
    monkeypatch.setattr(adapters, "trained", lambda s: pytest.fail("trained"))
    prepare(ready)
    assert all(PILOT_SEED not in part.seeds for part in PARTS.values())


@pytest.mark.parametrize("rule", ["hardest", "easiest", "random", *SAS])
def test_a_fifth_of_each_class_is_left_out(rule, ready):
    s = settings_of(replace(ready, entry=Entry()), 10)
    labels = s.data_set().y_train.numpy()
    rows = np.array(dropped(replace(ready, entry=Entry(drop=rule)), s, 10))
    assert np.bincount(labels[rows]).tolist() == [round(REMOVED * IMAGES / CLASSES)] * CLASSES
    assert len(set(rows.tolist())) == len(rows)
    assert settings_of(replace(ready, entry=Entry(drop=rule)), 10).drop == tuple(rows)


def test_the_hardest_have_the_smallest_gaps(ready):
    s = settings_of(replace(ready, entry=Entry()), 10)
    labels, gaps = s.data_set().y_train.numpy(), np.load(pilot(ready) / "gaps.npy")
    left_out = {
        rule: np.isin(np.arange(IMAGES), dropped(replace(ready, entry=Entry(drop=rule)), s, 10))
        for rule in ("hardest", "easiest", "sas0")
    }
    sas = np.load(pilot(ready) / "sas0.npy")
    for c in range(CLASSES):
        mine = labels == c
        assert gaps[mine & left_out["hardest"]].max() <= gaps[mine & ~left_out["hardest"]].min()
        assert gaps[mine & left_out["easiest"]].min() >= gaps[mine & ~left_out["easiest"]].max()
        assert sas[mine & left_out["sas0"]].max() <= sas[mine & ~left_out["sas0"]].min()
    assert not (left_out["hardest"] & left_out["easiest"]).any()


def test_random_images_are_drawn_anew_for_each_seed(ready):
    entry = Entry(drop="random")
    s = settings_of(replace(ready, entry=Entry()), 10)
    first, again, other = (dropped(replace(ready, entry=entry), s, seed) for seed in (10, 10, 11))
    assert first == again != other


def test_mixed_images_are_left_out_and_as_many_random_ones(tmp_path):
    views = write_views(tmp_path / "m.npz", omega=0.3)
    base = task(tmp_path, Entry(drop="mixed"), bench="cifar10-mixed30", views=views)
    with np.load(views) as file:
        assert settings_of(base, 10).drop == tuple(np.flatnonzero(file["mixed"]))
    random = settings_of(replace(base, entry=Entry(drop="random")), 10).drop
    assert len(random) == round(0.3 * IMAGES)


def test_the_gaps_are_of_the_frozen_features_and_the_scores_of_the_pilot(monkeypatch, tmp_path):
    seen = {}

    def spy(s):
        seen["seed"], seen["tau"], seen["drop"] = s.seed, s.tau, s.drop
        network = s.network(8, 1, 1).eval()
        return network, {}

    monkeypatch.setattr(adapters, "trained", spy)
    base = task(tmp_path)
    prepare(base)
    assert seen == {"seed": PILOT_SEED, "tau": 0.5, "drop": ()}
    from empirical.data.features import Features
    from empirical.difficulty.scores import sas_scores
    from empirical.encoders import extract
    from empirical.profile.measurement import probe_gaps

    with np.load(base.views) as file:
        x, y = file["x_train"], file["y_train"]
    assert np.load(pilot(base) / "gaps.npy") == pytest.approx(probe_gaps(Features(x), y))
    s = replace(base_settings(BENCHES["cifar10"], base.views, 0.5), seed=PILOT_SEED)
    z = extract(s.network(8, 1, 1).eval(), torch.from_numpy(x)[:, :, None, None])[1].numpy()
    for penalty in range(3):
        scores = sas_scores(Features(z), y, penalty)
        assert np.load(pilot(base) / f"sas{penalty}.npy") == pytest.approx(scores)
