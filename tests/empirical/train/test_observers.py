import csv
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from empirical.arms import PairRemedy
from empirical.train.loop import train
from empirical.train.observers import EmptyBand, Events, Means, Observer
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


def test_the_example_of_the_docs_adds_its_column(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "docs" / "training.md").read_text().partition("## Adding an observer")[2]
    code = re.search(r"```python\n(.*?)```", section, re.S)[1]
    names = {}
    exec(code, names)
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
