"""Runs of the benchmark of core-minutes, on a few random images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import cpu, cpu_parts
from empirical.compare.presets import PRESETS
from empirical.train import loop
from empirical.train.settings import Settings

BATCH = 32
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "table"), [("cpu", cpu.summary), ("cpu_search", cpu.search_summary), ("cpu_parts", cpu_parts.summary)]
)
def test_tables_of_the_page(name, table):
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert table(pd.read_csv(ROOT / "results" / f"{name}.csv")) in text


def test_what_the_page_says_of_the_preset():
    base = PRESETS["photos-cpu"].base
    text = " ".join((ROOT / "docs" / "training.md").read_text(encoding="utf-8").split())
    assert f"`{base.encoder}`, width {base.width}, stem stride {base.stem_stride}, on views of half" in text
    assert base.resolutions == ".5:.8,.75"
    shared = ("tau", "dim", "batch", "lr", "schedule", "precision")
    assert all(getattr(base, name) == getattr(cpu.EARLIER, name) for name in shared)
    runs = pd.read_csv(ROOT / "results" / "cpu.csv")
    here = runs[runs.device == "cpu"]
    assert (here.core_minutes / here.budget).between(0.8, 1.25).all()
    assert runs[runs.device != "cpu"].core_minutes.isna().all()  # of which a GPU has spared some


def test_what_the_page_says_of_the_parts():
    text = " ".join((ROOT / "docs" / "training.md").read_text(encoding="utf-8").split())
    runs = pd.read_csv(ROOT / "results" / "cpu_parts.csv").set_index(["seconds", "changed"])
    short, (base, wide) = runs.loc[200], (runs.loc[(600, name)] for name in ("the base", "width 48"))
    step = short.step_ms / short.step_ms["the base"]
    assert f"stored channel by channel {100 * (step['channels first in memory'] - 1):.0f} % more" in text
    assert f"Compiled, a step is {100 * (1 - step['compiled']):.0f} % shorter" in text
    assert step["float32"] == pytest.approx(1.5, abs=0.05)
    said = "width 48 has {:.1f} % where width 32 has {:.1f} (kNN {:.1f} and {:.1f}) in four fifths of its time"
    assert said.format(*(100 * value for value in (wide.probe, base.probe, wide.knn, base.knn))) in text
    assert base.core_seconds / wide.core_seconds == pytest.approx(0.8, abs=0.02)


def test_epochs_of_a_run_elsewhere_are_those_that_the_budget_holds():
    runs = pd.read_csv(ROOT / "results" / "cpu.csv")
    for run in runs[runs.device != "cpu"].itertuples():
        here = runs[(runs.recipe == run.recipe) & (runs.device == "cpu")].sort_values("budget").iloc[-1]
        assert run.epochs * here.core_minutes / here.epochs == pytest.approx(run.budget, rel=0.06)


@pytest.fixture
def settings(tmp_path):
    generator = np.random.default_rng(0)
    pixels, y = generator.integers(0, 256, (320, 8, 8, 3), dtype=np.uint8), np.arange(320) % 2
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=y, x_test=pixels[:40], y_test=y[:40])
    return Settings(
        data=f"npz:{tmp_path / 'images.npz'}",
        encoder="convnet",
        width=4,
        dim=8,
        batch=BATCH,
        epochs=2,
        accelerator="cpu",
        resolutions=".5:.5,1",
    )


@pytest.mark.parametrize("recipe", ["photos-cpu", "lightly"])
def test_a_budget_becomes_epochs_and_a_row(tmp_path, monkeypatch, settings, recipe):
    if recipe == "lightly":
        pytest.importorskip("lightly")
    name = "lightly_seconds" if recipe == "lightly" else "our_seconds"
    monkeypatch.setattr(cpu, name, lambda *_: 0.06)  # of a step: .6 of an epoch's ten
    row = cpu.measure(recipe, settings, 0.021, tmp_path / "run")
    assert (row["recipe"], row["budget"], row["epochs"]) == (recipe, 0.021, 2)
    assert row["core_minutes"] >= 0
    assert all(0 <= row[score] <= 1 for score in ("probe", "knn"))
    monkeypatch.setattr(cpu, name, lambda *_: 1 / 0)
    assert cpu.measure(recipe, settings, 0.021, tmp_path / "run") == row


def test_seconds_of_a_step_are_weighted_by_the_resolutions(monkeypatch, settings):
    def train(few, out, observers):
        (clock,) = observers
        clock.steps = [9.0, 9.0, *[{"0.5": 1.0, "1.0": 3.0}[few.resolutions]] * 6]

    monkeypatch.setattr(cpu, "train", train)
    assert cpu.our_seconds(replace(settings, resolutions=".5:.75,1"), settings.data_set()) == pytest.approx(1.5)


def test_core_time_goes_on_where_it_stood(tmp_path, monkeypatch, settings):
    ticks = iter(range(1000))
    monkeypatch.setattr(cpu, "process_time", lambda: float(next(ticks)))

    def stop(step, *_):
        if step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(settings, tmp_path, stop, observers=[cpu.CoreTime()])
    clock = cpu.CoreTime()
    loop.train(settings, tmp_path, observers=[clock])
    assert clock.seconds == 20  # a second a step; ten were saved
    assert pd.read_csv(tmp_path / "metrics.csv").core_seconds.tolist() == [10, 20]


def test_lightlys_loop_resumes_to_the_same_bits(tmp_path, monkeypatch, settings):
    pytest.importorskip("lightly")
    images = settings.data_set()
    whole, _ = cpu.train_lightly(settings, images, tmp_path / "whole")
    write = cpu.write_bytes

    class Stopped(Exception):
        pass

    def last(path, content):
        write(path, content)
        raise Stopped

    monkeypatch.setattr(cpu, "write_bytes", last)
    with pytest.raises(Stopped):
        cpu.train_lightly(settings, images, tmp_path / "parts")
    monkeypatch.setattr(cpu, "write_bytes", write)
    again, seconds = cpu.train_lightly(settings, images, tmp_path / "parts")
    assert seconds > 0
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("contiguous", [False, True])
def test_parts_are_scored_on_a_tenth_of_the_training_images(tmp_path, monkeypatch, settings, contiguous):
    data = settings.data_set()
    cpu_parts.hold_out(data, tmp_path / "held_out.npz")
    parts = np.load(tmp_path / "held_out.npz")
    assert [len(parts[name]) for name in ("y_train", "y_test")] == [288, 32]
    assert np.bincount(parts["y_test"]).tolist() == [16, 16]
    both = np.concatenate([parts["x_train"], parts["x_test"]]).reshape(320, -1)
    assert np.array_equal(np.unique(both, axis=0), np.unique(data.x_train.movedim(1, 3).reshape(320, -1), axis=0))

    seen = []
    evaluate = cpu_parts.evaluate_network
    monkeypatch.setattr(cpu_parts, "BASE", settings)
    monkeypatch.setattr(cpu_parts, "our_seconds", lambda *_: 0.1)
    monkeypatch.setattr(
        cpu_parts, "evaluate_network", lambda network, *given: (seen.append(network), evaluate(network, *given))[1]
    )
    trial = cpu_parts.Trial("any", contiguous=contiguous)
    row = cpu_parts.measure(trial, f"npz:{tmp_path / 'held_out.npz'}", 1.8, 0, tmp_path)
    assert (row["changed"], row["step_ms"], row["epochs"]) == ("any", 100, 2)  # of nine steps
    convolution = next(m for m in seen[0].modules() if isinstance(m, torch.nn.Conv2d) and m.in_channels > 1)
    assert convolution.weight.is_contiguous() == contiguous
    monkeypatch.setattr(cpu_parts, "our_seconds", lambda *_: 1 / 0)
    assert cpu_parts.measure(trial, "", 1.8, 0, tmp_path) == row


def test_bad_input_is_one_line(tmp_path, capsys):
    given = ["photos-cpu", "--data", "cifar10", "--out", str(tmp_path / "runs")]
    assert cpu.main([*given, "--minutes", "0"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "minutes = 0.0 violates minutes > 0" in err
    assert not (tmp_path / "runs").exists()
