import csv
import itertools
import os
import re
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from empirical.arms import PairRemedy, pair_remedy
from empirical.encoders import extract
from empirical.train.loop import train
from empirical.train.observers import EmptyBand, Events, Means, Observer, Snapshots
from empirical.train.settings import Running, Settings
from theory.checks import ParameterError

ROOT = Path(__file__).parents[3]
TINY = Settings(data="digits", train=100, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=3)


class Interrupted(Exception):
    pass


def interrupted(settings, out, last, running, observers=()):
    """Train, but die without a word after step ``last``, whose checkpoint is written."""

    def die(step, *_):
        if step == last:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(settings, out, die, replace(running, checkpoint_every=1), observers=observers)


def rows_of(out):
    with open(out / "metrics.csv") as file:
        return [{key: value for key, value in row.items() if key != "views_per_second"} for row in csv.DictReader(file)]


def same_weights(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


class Recorder(Observer):
    """Remembers its calls, and what is on disk when it is called."""

    def __init__(self, out):
        self.out, self.calls, self.batches = out, [], []

    def _called(self, name):
        path = self.out / "checkpoint.pt"
        self.calls.append((name, torch.load(path)["step"] if path.exists() else 0))

    def step(self, batch):
        self._called("step")
        self.batches.append(batch)
        assert not torch.is_grad_enabled()

    def row(self):
        self._called("row")
        return {}

    def saved(self, row):
        self._called("saved")
        self.last = row


def test_the_examples_of_the_docs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "docs" / "training.md").read_text().partition("## Adding an observer")[2]
    names = {}
    for code in re.findall(r"```python\n(.*?)```", section, re.S):
        exec(code, names)
    assert capsys.readouterr().out == "(2, 50, 16)\n"
    rows = rows_of(tmp_path / "runs" / "observed")
    assert list(rows[0])[-2:] == ["hardest_negative", "learning_rate"]
    recorder = Recorder(tmp_path / "again")
    train(names["settings"], tmp_path / "again", observers=[recorder])
    hardest = [batch.pairs.negative.max().item() for batch in recorder.batches]
    for epoch, row in enumerate(rows):
        assert float(row["hardest_negative"]) == pytest.approx(sum(hardest[4 * epoch :][:4]) / 4, rel=1e-6)


def test_an_observer_is_called_after_steps_at_epochs_ends_and_once_they_are_saved(tmp_path):
    recorder = Recorder(tmp_path)
    train(replace(TINY, epochs=2), tmp_path, observers=[recorder])
    first = [("step", 0), ("step", 0), ("row", 0), ("saved", 2)]
    assert recorder.calls == [*first, ("step", 2), ("step", 2), ("row", 2), ("saved", 4)]
    assert [batch.step for batch in recorder.batches] == [0, 1, 2, 3]
    assert torch.cat([batch.rows for batch in recorder.batches[:2]]).sort().values.tolist() == list(range(100))
    assert {key: f"{value:.8g}" for key, value in recorder.last.items()}.items() >= rows_of(tmp_path)[-1].items()


class Cosines(Means):
    columns = ("positive", "negative")

    def step(self, batch):
        self.add(batch.pairs.positive.mean(), batch.pairs.negative.amax())


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_means_of_ones_own_resume_to_the_same_bits_and_leave_the_weights_alone(tmp_path, step):
    running = Running(online_probe=True)
    bare = train(TINY, tmp_path / "bare")
    whole = train(TINY, tmp_path / "whole", running=running, observers=[Cosines()])
    interrupted(TINY, tmp_path / "parts", step, running, [Cosines()])
    resumed = train(TINY, tmp_path / "parts", running=running, observers=[Cosines()])
    assert same_weights(bare, whole)
    assert same_weights(bare, resumed)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")
    columns = list(rows_of(tmp_path / "whole")[0])
    assert columns[-4:] == ["online_probe", "positive", "negative", "learning_rate"]


def test_an_observer_that_was_not_there_before_starts_with_the_step(tmp_path):
    interrupted(TINY, tmp_path, 3, Running())
    train(TINY, tmp_path, observers=[Cosines()])
    assert [bool(row["positive"]) for row in rows_of(tmp_path)] == [False, True, True]


def test_two_observers_of_one_name_are_refused_before_anything_is_written(tmp_path):
    for own in ([Cosines(), Cosines()], [type("Losses", (Observer,), {})()]):
        with pytest.raises(ParameterError, match="^observers = Losses, .* violates one name each$"):
            train(TINY, tmp_path / "run", observers=own)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize("step", [2, 3])
def test_checkpoints_of_earlier_versions_resume_to_the_same_bits(tmp_path, step, probing):
    """They held sums of zero between epochs, and the probe apart from its hits."""
    running = Running(online_probe=probing)
    whole = train(TINY, tmp_path / "whole", running=running)
    interrupted(TINY, tmp_path / "parts", 3, running)
    path = tmp_path / "parts" / ("checkpoint.pt" if step == 3 else "checkpoint.previous.pt")
    state = torch.load(path)
    assert state["step"] == step
    observed = state.pop("observers")
    sums = {"sums": ("Losses", 3), "diagnosed": ("Diagnostics", 5), "hits": ("Probe", 2)}
    state["meter"] = {
        old: torch.zeros(size, dtype=torch.float64) if observed[new]["sums"] is None else observed[new]["sums"]
        for old, (new, size) in sums.items()
    }
    state["probe"] = observed["Probe"]["learner"]
    torch.save(state, tmp_path / "parts" / "checkpoint.pt")
    resumed = train(TINY, tmp_path / "parts", running=running)
    assert same_weights(whole, resumed)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")


def test_a_band_that_holds_no_pair_is_told_once():
    watch = EmptyBand(PairRemedy(select="auto"))
    watch.saved({"epoch": 1, "flagged_share": 0.1})
    message = "^epoch 2: the selector's band holds no pair: training as the baseline$"
    with pytest.warns(UserWarning, match=message):
        watch.saved({"epoch": 2, "flagged_share": 0.0})
    with warnings.catch_warnings(action="error"):
        watch.saved({"epoch": 3, "flagged_share": 0.0})


def test_events_of_an_interrupted_run_are_replaced_and_the_files_closed(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first, second = Events(tmp_path, 3, 10), Events(tmp_path, 3, 10)
    for epoch in (1, 2):
        first.saved({"epoch": epoch, "loss": 1.0})
    for epoch in (2, 3):
        second.saved({"epoch": epoch, "loss": 2.0})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 1.0), (20, 2.0), (30, 2.0)]


# --- classes of the flagged pairs -------------------------------------------------------------------

BAND = PairRemedy(sigma=0.1, pos_high=0.1, pos_low=0.4)
SELECTING = {
    "two views": replace(TINY, remedy=BAND),
    "opposite views": replace(TINY, remedy=BAND, loss="spectral_opposite"),
    "queue": replace(TINY, remedy=BAND, framework="moco", queue=130),
    "random pairs": replace(TINY, remedy=replace(BAND, select="random")),
    "thresholds": replace(TINY, remedy=pair_remedy("glofnd", None), glofnd_start=0.4),
}


@pytest.mark.parametrize("method", SELECTING)
@pytest.mark.parametrize("blind", [False, True], ids=["labels", "some labels"])
def test_the_classes_of_the_flagged_pairs_are_counted_pair_by_pair(tmp_path, monkeypatch, method, blind):
    settings, recorder = SELECTING[method], Recorder(tmp_path)
    images = settings.data_set()
    if blind:
        labels = images.y_train.clone()
        labels[::3] = -1
        images = replace(images, y_train=labels)
        monkeypatch.setattr(Settings, "data_set", lambda self: images)
    train(settings, tmp_path, observers=[recorder])
    labels, queue = images.y_train.tolist(), [-1] * 130
    for epoch, row in enumerate(rows_of(tmp_path)):
        pairs = []  # flagged, of different classes
        for batch in recorder.batches[2 * epoch :][:2]:
            own = [labels[i] for i in batch.everyone.tolist()]
            flagged, there = batch.flags.negative.tolist(), (batch.pairs.negative > -torch.inf).tolist()
            for i, line in enumerate(flagged):
                for j in range(len(line)):
                    a, b = own[i % len(own)], queue[j] if method == "queue" else own[j % len(own)]
                    if there[i][j] and a >= 0 and b >= 0:
                        pairs.append((line[j], a != b))
            for k, label in enumerate(own):
                queue[(50 * batch.step + k) % 130] = label
        chosen = [across for flag, across in pairs if flag]
        if chosen:
            assert float(row["flagged_across"]) == pytest.approx(sum(chosen) / len(chosen), rel=1e-7)
        else:
            assert (method, epoch, row["flagged_across"]) == ("thresholds", 0, "nan")
        assert float(row["negatives_across"]) == pytest.approx(sum(a for _, a in pairs) / len(pairs), rel=1e-7)


def test_an_oracle_flags_no_pair_of_different_classes(tmp_path):
    train(replace(TINY, remedy=pair_remedy("oracle", None)), tmp_path)
    for row in rows_of(tmp_path):
        assert float(row["flagged_across"]) == 0
        assert float(row["negatives_across"]) == pytest.approx(0.9, abs=0.03)  # of ten classes
        assert float(row["flagged_share"]) == pytest.approx(1 - float(row["negatives_across"]), abs=1e-6)


def test_without_a_selector_or_labels_there_are_no_such_columns(tmp_path, monkeypatch):
    train(replace(TINY, epochs=1), tmp_path / "baseline")
    images = TINY.data_set()
    monkeypatch.setattr(Settings, "data_set", lambda self: replace(images, y_train=torch.full_like(images.y_train, -1)))
    train(replace(TINY, epochs=1, remedy=BAND), tmp_path / "blind")
    for name in ("baseline", "blind"):
        assert not {"flagged_across", "negatives_across"} & set(rows_of(tmp_path / name)[0])


@pytest.mark.parametrize("method", ["two views", "queue"])
@pytest.mark.parametrize("step", [1, 3])
def test_the_classes_of_a_resumed_run_are_those_of_one_left_alone(tmp_path, method, step):
    train(SELECTING[method], tmp_path / "whole")
    interrupted(SELECTING[method], tmp_path / "parts", step, Running())
    train(SELECTING[method], tmp_path / "parts")
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")


# --- snapshots --------------------------------------------------------------------------------------

ROWS, EPOCHS = [7, 3, 98], [1, 3]


def snapshots(out):
    return Snapshots(out / "snapshots.npz", ROWS, EPOCHS)


def test_snapshots_are_the_features_after_the_epochs_and_leave_the_run_alone(tmp_path):
    bare = train(TINY, tmp_path / "bare")
    watched = train(TINY, tmp_path / "watched", observers=[snapshots(tmp_path / "watched")])
    assert same_weights(bare, watched)
    assert watched.training == bare.training
    assert rows_of(tmp_path / "bare") == rows_of(tmp_path / "watched")
    found = np.load(tmp_path / "watched" / "snapshots.npz")
    images = TINY.data_set()
    assert found["rows"].tolist() == ROWS
    assert found["labels"].tolist() == images.y_train[ROWS].tolist()
    assert found["epochs"].tolist() == EPOCHS
    assert found["features"].dtype == np.float16
    interrupted(TINY, tmp_path / "first", 3, Running())  # the checkpoint before is the first epoch's
    first = TINY.network(1)
    first.load_state_dict(torch.load(tmp_path / "first" / "checkpoint.previous.pt")["network"])
    for network, features in zip((first, bare), found["features"], strict=True):
        expected, _ = extract(network, images.x_train[ROWS])
        assert np.array_equal(features, expected.half().numpy())


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_snapshots_of_a_resumed_run_are_those_of_one_left_alone(tmp_path, step):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(TINY, whole, observers=[snapshots(whole)])
    interrupted(TINY, parts, step, Running(), [snapshots(parts)])
    (parts / "snapshots.npz").unlink(missing_ok=True)  # lost: the checkpoint has them
    train(TINY, parts, observers=[snapshots(parts)])
    found = [np.load(out / "snapshots.npz") for out in (whole, parts)]
    assert all(np.array_equal(found[0][name], found[1][name]) for name in ("rows", "labels", "epochs", "features"))
    assert not list(parts.glob(".*"))
    with pytest.raises(ParameterError, match=r"^rows = \[7\] violates those of the run before, which wrote "):
        train(TINY, parts, observers=[Snapshots(parts / "snapshots.npz", [7], EPOCHS)])


@pytest.mark.parametrize(
    ("rows", "epochs", "message"),
    [
        ([100], [1], r"rows = \[100\] violates one or more indices in \[0, 99\]"),
        ([-1], [1], r"rows = \[-1\] violates"),
        ([], [1], r"rows = \[\] violates"),
        ([0], [], r"epochs = \[\] violates one or more epochs in \[1, 3\]"),
        ([0], [2, 4], r"epochs = \[2, 4\] violates"),
        ([0], [0], r"epochs = \[0\] violates"),
    ],
)
def test_snapshots_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, rows, epochs, message):
    with pytest.raises(ParameterError, match=f"^{message}"):
        train(TINY, tmp_path / "run", observers=[Snapshots(tmp_path / "run" / "s.npz", rows, epochs)])
    assert not (tmp_path / "run").exists()


class Cut(BaseException):
    """A kill."""


@pytest.fixture
def cut_at(monkeypatch):
    """Lets the n-th write die: a file before it has its name, or a value of an event file; 0 only counts them."""
    from torch.utils.tensorboard import SummaryWriter

    calls, target, started = [], [0], itertools.count()
    clock = time.time

    def dying(function):
        def call(*args, **kwargs):
            calls.append(function.__name__)
            if len(calls) == target[0]:
                raise Cut
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "replace", dying(os.replace))
    for name in ("add_scalar", "flush"):
        monkeypatch.setattr(SummaryWriter, name, dying(getattr(SummaryWriter, name)))

    def run(point, settings, out):
        """Train; the writes by name, and the network unless it died."""
        started_at = next(started)  # another process would need more than a second to get here
        monkeypatch.setattr(time, "time", lambda: clock() + 2 * started_at)
        target[0] = point
        calls.clear()
        try:
            network = train(settings, out, running=Running(track=1, tensorboard=True))
            return list(calls), network
        except Cut:
            return calls, None

    return run


def recorded(out):
    """Epochs in metrics.csv, profiles.csv, and of every column in tensorboard/."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    scalars = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}
    del scalars["views_per_second"]
    return rows_of(out), (out / "profiles.csv").read_bytes(), scalars


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_cut_at_a_write_and_resumed_has_every_epoch_once(tmp_path, cut_at, everywhere):
    """In metrics.csv, profiles.csv and tensorboard/; cut again on resuming, too."""
    settings = replace(TINY, epochs=2)
    calls, whole = cut_at(0, settings, tmp_path / "whole")
    expected = recorded(tmp_path / "whole")
    columns = len(expected[0][0])
    assert [[step for step, _ in found] for found in expected[2].values()] == [[2, 4]] * columns
    first = calls.index("add_scalar") + 1
    assert calls[first - 4 : first - 1] == ["replace"] * 3  # metrics, the checkpoint before, the checkpoint
    end = first + columns  # of the epoch's events
    assert calls[end : end + 2] == ["flush", "replace"]  # then its levels
    points = range(1, len(calls) + 1) if everywhere else (first - 2, first - 1, first, first + 2, end + 1, end + 2)
    for point in points:
        out = tmp_path / str(point)
        _, network = cut_at(point, settings, out)
        assert network is None
        cut_at(point % 4, settings, out)
        _, network = cut_at(0, settings, out)
        assert same_weights(whole, network)
        assert recorded(out) == expected, point


def test_a_finished_run_adds_nothing_to_its_event_files(tmp_path):
    running = Running(tensorboard=True)
    train(replace(TINY, epochs=1), tmp_path, running=running)
    before = {path.name: path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()}
    train(replace(TINY, epochs=1), tmp_path, running=running)
    assert {path.name: path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()} == before


def test_a_checkpoint_that_fell_back_takes_its_events_along(tmp_path, cut_at):
    """The events of an epoch that is done again are those of the second time."""
    settings = replace(TINY, epochs=2)
    cut_at(0, settings, tmp_path)
    expected = recorded(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="going on from"):
        cut_at(0, settings, tmp_path)
    assert recorded(tmp_path) == expected


def test_event_files_of_the_same_second_are_read_in_order(tmp_path):
    """The names of processes say nothing about their order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch in (1, 2, 3):
        Events(tmp_path, epochs=3, per_epoch=2).saved({"epoch": float(epoch), "loss": 4.0})
    stamps = sorted(path.name[:30] for path in (tmp_path / "tensorboard").iterdir())
    assert len(set(stamps)) == 3
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]
