"""Runs that go on under other settings: with the bits of a run that had them from the start, or saying what differs."""

import json
import warnings
from dataclasses import replace

import pytest
import torch

from empirical.arms import pair_remedy
from empirical.train.__main__ import main
from empirical.train.checkpoint import load_network
from empirical.train.continuing import continuation
from empirical.train.loop import train
from empirical.train.settings import Running, Settings
from theory.checks import ParameterError

PER_EPOCH = 2
TINY = Settings(data="digits", train=100, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=3)
CONSTANT = replace(TINY, schedule="constant", warmup=0.0)
ARGUMENTS = ["--data", "digits", "--train", "100", "--test", "100", "--encoder", "convnet", "--width", "4"]
ARGUMENTS += ["--dim", "8", "--batch", "50"]


class Interrupted(Exception):
    pass


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def train_until(settings, out, last):
    """Train, but die without a word in the call after step ``last``; the whole run if it is the last."""

    def die(step, steps, epoch):
        if step == last < steps:
            raise Interrupted

    try:
        train(settings, out, die, Running(checkpoint_every=1))
        assert last == settings.epochs * PER_EPOCH
    except Interrupted:
        pass


@pytest.fixture(autouse=True)
def no_warning():
    """What goes on exactly says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


EXACT = {  # settings of the run, and those with which it goes on
    "constant": (CONSTANT, {"epochs": 5}),
    "the same steps of warm-up": (replace(CONSTANT, epochs=4, warmup=0.5), {"epochs": 8, "warmup": 0.25}),
    "the same sizes": (
        replace(CONSTANT, epochs=4, resolutions="1:.5,1"),
        {"epochs": 8, "resolutions": "1"},
    ),
    "moco": (replace(CONSTANT, framework="moco", queue=130, loss="adnce", optimizer="adamw", lr=1e-3), {"epochs": 4}),
    "glofnd": (
        replace(CONSTANT, epochs=4, remedy=pair_remedy("glofnd", None), glofnd_start=0.5),
        {"epochs": 8, "glofnd_start": 0.25},
    ),
    "fewer, not yet done": (replace(CONSTANT, epochs=5), {"epochs": 4}),
}


@pytest.mark.parametrize(("case", "step"), [(case, 5) for case in EXACT] + [("constant", 1), ("constant", 6)])
def test_a_run_goes_on_to_the_bits_of_one_that_was_longer_from_the_start(tmp_path, case, step):
    begun, changes = EXACT[case]
    settings = replace(begun, **changes)
    whole = weights(train(settings, tmp_path / "whole"))
    train_until(begun, tmp_path / "parts", step)
    assert same(whole, weights(train(settings, tmp_path / "parts")))
    states = [torch.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts")]
    assert states[0]["settings"] == states[1]["settings"] == settings.to_json()
    assert states[0]["continued"] == states[1]["continued"] == []
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert len({tuple(line.rsplit(",", 1)[0] for line in lines) for lines in rows}) == 1  # but for the speed


def test_what_a_finished_run_has_ended_with_stays(tmp_path):
    """Weights and result; the run's own result is gone until the longer one has one."""
    train(CONSTANT, tmp_path)
    final = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "result.json").write_text("of three epochs")
    train_until(replace(CONSTANT, epochs=5), tmp_path, 7)
    assert (tmp_path / "checkpoint-3-epochs.pt").read_bytes() == final
    assert (tmp_path / "result-3-epochs.json").read_text() == "of three epochs"
    assert not (tmp_path / "result.json").exists()
    assert load_network(tmp_path / "checkpoint-3-epochs.pt")[0] == CONSTANT
    train(replace(CONSTANT, epochs=5), tmp_path)
    assert (tmp_path / "checkpoint-3-epochs.pt").read_bytes() == final
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "checkpoint-3-epochs.pt", "checkpoint.previous.pt", "checkpoint.pt",
    ]  # fmt: skip


def said(found):
    """The warnings of ours."""
    return [str(one.message) for one in found if "goes on at step" in str(one.message)]


def test_a_cosine_goes_on_saying_what_differs(tmp_path):
    """As a user does it: the same command with more epochs; and again once it is finished."""
    out = tmp_path / "run"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert main([*ARGUMENTS, "--epochs", "1", "--out", str(out)]) == 0
        assert not said(found)
        short = weights(load_network(out / "checkpoint.pt")[1])
        assert main([*ARGUMENTS, "--epochs", "2", "--out", str(out)]) == 0
        assert main([*ARGUMENTS, "--epochs", "2", "--out", str(out)]) == 0
    assert said(found) == [
        f"{out} goes on at step 2 with epochs = 2 in place of 1: the steps so far had the learning rates of 1, so the "
        "weights will not be those of a run of 2 from the start (those of a run with --schedule constant --warmup 0 "
        "would be); its weights of 1 epochs stay in checkpoint-1-epochs.pt"
    ]
    record = [{"step": 2, "settings": {"epochs": [1, 2]}}]
    assert torch.load(out / "checkpoint.pt")["continued"] == record
    result = json.loads((out / "result.json").read_text())
    assert (result["settings"]["epochs"], result["continued"]) == (2, record)
    earlier = json.loads((out / "result-1-epochs.json").read_text())
    assert (earlier["settings"]["epochs"], "continued" in earlier) == (1, False)
    assert same(short, weights(load_network(out / "checkpoint-1-epochs.pt")[1]))
    assert not same(short, weights(load_network(out / "checkpoint.pt")[1]))


@pytest.mark.parametrize("killed", [3, 4, 5])
def test_a_lengthened_run_resumes_to_the_same_bits(tmp_path, killed):
    longer = replace(TINY, epochs=5)
    ended = []
    for name, stop in (("alone", None), ("killed", killed)):
        train_until(TINY, tmp_path / name, 3)
        if stop is not None:
            with pytest.warns(UserWarning, match="goes on at step 3 with epochs = 5 in place of 3"):
                train_until(longer, tmp_path / name, stop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ended.append(weights(train(longer, tmp_path / name)))
        state = torch.load(tmp_path / name / "checkpoint.pt")
        assert state["continued"] == [{"step": 3, "settings": {"epochs": [3, 5]}}]
        assert not list((tmp_path / name).glob("*epochs*"))  # it was not finished
    assert same(*ended)


def test_a_constant_rate_whose_warm_up_grew_names_the_option_that_keeps_it(tmp_path):
    begun = replace(CONSTANT, epochs=4, warmup=0.5)
    train_until(begun, tmp_path, 5)
    with pytest.warns(UserWarning, match=r"had the learning rates of 4, .* \(with --warmup 0.25 they will\)$"):
        train_until(replace(begun, epochs=8), tmp_path, 5)
    exact = continuation(begun.to_json(), replace(begun, epochs=8, warmup=0.25), 5, PER_EPOCH, tmp_path)
    assert exact.warning is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolutions": ".5:.5,1"}, "sizes of views"),
        ({"remedy": pair_remedy("glofnd", None), "glofnd_start": 0.3}, "beginning of glofnd"),
        ({"schedule": "cosine", "resolutions": ".5:.5,1"}, "learning rates and sizes of views"),
    ],
)
def test_everything_that_differs_is_named(tmp_path, changes, words):
    begun = replace(CONSTANT, epochs=4, **changes)
    found = continuation(begun.to_json(), replace(begun, epochs=40), 6, PER_EPOCH, tmp_path)
    assert f": the steps so far had the {words} of 4, so" in found.warning


@pytest.mark.parametrize(
    ("begun", "changes", "message"),
    [
        (CONSTANT, {"epochs": 1}, "epochs = 1 violates at least the 2 that the run in {out} has done"),
        (TINY, {"epochs": 1}, "epochs = 1 violates at least the 2 that the run in {out} has done"),
        (TINY, {"epochs": 2}, "epochs = 2 violates the settings of the run in {out}: 3"),
        (TINY, {"warmup": 0.5}, "warmup = 0.5 violates the settings of the run in {out}: 0.1"),
        (CONSTANT, {"warmup": 0.5}, "warmup = 0.5 violates the settings of the run in {out}: 0.0"),
        (CONSTANT, {"resolutions": ".5:.5,1"}, "resolutions = .5:.5,1 violates the settings of the run in {out}: 1"),
        (CONSTANT, {"epochs": 5, "tau": 0.1}, "tau = 0.1 violates the settings of the run in {out}: 0.5"),
        (CONSTANT, {"devices": 2, "dim": 4}, "dim = 4 violates the settings of the run in {out}: 8"),
        (TINY, {"epochs": 5, "warmup": 0.5}, "epochs = 5 violates the settings of the run in {out}: 3"),
    ],
)
def test_other_changes_are_refused_and_nothing_is_written(tmp_path, begun, changes, message):
    train_until(begun, tmp_path, 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    settings = replace(begun, **changes)
    with pytest.raises(ParameterError) as caught:
        continuation(begun.to_json(), settings, 3, PER_EPOCH, tmp_path)
    assert str(caught.value) == message.format(out=tmp_path)
    if settings.devices == 1:
        with pytest.raises(ParameterError, match=str(caught.value).partition(" violates")[0]):
            train(settings, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_kind_of_device_is_said_and_recorded(tmp_path):
    train_until(TINY, tmp_path, 3)
    message = (
        f"{tmp_path} goes on at step 3 with accelerator = cpu in place of auto: weights, optimiser, queue and batches "
        "stay, the views from here on are drawn otherwise"
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        train(replace(TINY, accelerator="cpu"), tmp_path)
    assert said(found) == [message]
    state = torch.load(tmp_path / "checkpoint.pt")
    assert state["continued"] == [{"step": 3, "settings": {"accelerator": ["auto", "cpu"]}}]
    train(TINY, tmp_path)  # finished: where it would go on makes no difference


def test_the_bits_of_a_finished_run_are_not_touched_by_another_place(tmp_path):
    train(TINY, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    train(replace(TINY, accelerator="cpu"), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert json.loads((tmp_path / "settings.json").read_text())["accelerator"] == "auto"  # with which it was trained


def test_a_run_that_is_as_long_as_is_asked_for_now_is_finished(tmp_path):
    """Its checkpoint says so; the longer one is begun again from there, exactly."""
    longer = replace(CONSTANT, epochs=4)
    train_until(longer, tmp_path / "run", 6)
    short = weights(train(CONSTANT, tmp_path / "run"))
    assert load_network(tmp_path / "run" / "checkpoint.pt")[0] == CONSTANT
    assert json.loads((tmp_path / "run" / "settings.json").read_text()) == CONSTANT.to_json()
    assert same(short, weights(train(CONSTANT, tmp_path / "whole")))
    assert same(weights(train(longer, tmp_path / "run")), weights(train(longer, tmp_path / "long")))
