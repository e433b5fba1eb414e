"""Checkpoints: written whole or not at all, the one before kept, read without running code."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from empirical.choices import is_code
from empirical.encoders import ImageNetwork, Network
from empirical.encoders.weights import load_torch
from empirical.train.continuing import require_same_run
from empirical.train.settings import Settings
from theory.checks import ParameterError, require
from theory.files import remove_leftovers, write_bytes

# What a state that does not fit its settings raises where it is loaded.
DAMAGE = LookupError, TypeError, AttributeError, StopIteration, RuntimeError, ValueError, OverflowError
CHECKPOINT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
State = dict[str, Any]


def save_checkpoint(out: Path, state: State) -> None:
    """Write ``state`` to ``out``/checkpoint.pt; the checkpoint before becomes checkpoint.previous.pt.

    Raises
    ------
    ParameterError
        If it cannot be written, for instance on a full disk; the old checkpoint is then untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(out / CHECKPOINT, buffer.getvalue(), keep=out / PREVIOUS)


def read_checkpoint(path: Path) -> State:
    """Read a checkpoint written by ``empirical.train``; ParameterError if it is not one."""
    state = load_torch(path, "a checkpoint of empirical.train")
    known = isinstance(state, dict) and {"settings", "network", "metrics"} <= set(state)
    if not known or not all(isinstance(state[name], dict) for name in ("settings", "network")):
        raise ParameterError(f"{path} is not a checkpoint of empirical.train")
    return dict(state)


def latest_checkpoint(out: Path, settings: Settings) -> tuple[State | None, bool]:
    """The newest readable checkpoint of a run, None if there is none yet; and whether it is the one before.

    A damaged or missing checkpoint falls back to the one before, with a warning.

    Raises
    ------
    ParameterError
        If the folder holds a run with other settings than those of its length and place (naming the difference), or
        only damaged checkpoints.
    """
    current, before = out / CHECKPOINT, out / PREVIOUS
    if not current.exists() and not before.exists():
        return None, False
    fell_back = False
    try:
        state = read_checkpoint(current)
    except ParameterError as damaged:
        if not before.exists():
            raise
        state, fell_back = read_checkpoint(before), True
        warnings.warn(f"{damaged}; going on from {before}, step {state.get('step')}", stacklevel=2)
    require_same_run(state["settings"], settings, out)
    return _with_observers(state), fell_back


def _with_observers(state: State) -> State:
    """The checkpoint with its observers' states, which earlier versions held under other names."""
    if "meter" not in state:
        return state
    meter = {name: sums if sums[-1] else None for name, sums in state["meter"].items()}  # the last counts the steps
    observers = {
        "Losses": {"sums": meter["sums"]},
        "Diagnostics": {"sums": meter["diagnosed"]},
        "Probe": {"sums": meter["hits"], "learner": state["probe"]},
    }
    return {**state, "observers": observers}


def tidy(out: Path, fell_back: bool) -> None:
    """Make a run's folder ready to be written to, by one process, after all have read the checkpoint.

    Parameters
    ----------
    out : Path
    fell_back : bool
        Put the checkpoint before in the place of the damaged one: the next save would keep the damaged one
        and overwrite the only good one.
    """
    remove_leftovers(out / CHECKPOINT)
    if fell_back:
        os.replace(out / PREVIOUS, out / CHECKPOINT)


def load_network(path: Path, trusted: Collection[str] = ()) -> tuple[Settings, Network]:
    """Settings and network of a checkpoint, in evaluation mode on the CPU.

    Parameters
    ----------
    path : Path
    trusted : collection of str
        Encoders of one's own, ``MODULE:FACTORY``, that it may name: they are code, which is imported and called.

    Raises
    ------
    ParameterError
        If it is no checkpoint, or names such an encoder that is not trusted.
    """
    state = read_checkpoint(path)
    try:
        settings = Settings.from_json(state["settings"])
        require_trusted(path, settings.modality, trusted, "modality")
        require_trusted(path, settings.encoder, trusted)
        # Checkpoints of earlier versions do not tell the images' shape.
        shape = state.get("shape") or (_channels_of(state["network"]),)
        begun = replace(settings, pretrained=False, weights=None)  # whose weights are all in the checkpoint
        network = begun.network(*shape)
        network.load_state_dict(state["network"])
    except ParameterError:
        raise
    except DAMAGE as error:
        raise ParameterError(f"{path} is not a checkpoint of this version of empirical.train") from error
    for name, weight in network.state_dict().items():
        require(bool(weight.isfinite().all()), f"{name} of {path}", "NaN or infinity", "finite weights")
    return settings, network.eval()


def load_image_network(path: Path, trusted: Collection[str] = ()) -> tuple[Settings, ImageNetwork]:
    """As ``load_network``; ParameterError too if the network is none of images."""
    settings, network = load_network(path, trusted)
    if not isinstance(network, ImageNetwork):
        raise ParameterError("checkpoint", path, f"a network of images, not of {settings.modality}")
    return settings, network


def require_trusted(path: Path, code: str, trusted: Collection[str], what: str = "encoder") -> None:
    """Refuse an encoder or modality of a checkpoint that is code, unless the user has named it too."""
    if is_code(code) and code not in trusted:
        named = code if code.isprintable() else repr(code)
        code = f"{path} has {named} as its {what}, which would be imported and called"
        raise ParameterError(f"{code}: --trust-encoder {named} allows that")


def _channels_of(weights: dict[str, Tensor]) -> int:
    """Colour channels that a network with these weights takes, if its first layer is a plain convolution."""
    return int(next(w.shape[1] for w in weights.values() if w.ndim == 4))


def diverged(what: str, settings: Settings, out: Path) -> ParameterError:
    """The error of a run that cannot go on; says which checkpoint is kept."""
    path = out / CHECKPOINT
    kept = f"; {path}, of step {read_checkpoint(path)['step']}, is kept" if path.exists() else ""
    half = settings.precision == "16-mixed"
    advice = f"lower lr = {settings.lr}" + " or take --precision 32-true, for 16 bits end at 65,504" * half
    return ParameterError(f"{what}; {advice}{kept}")
