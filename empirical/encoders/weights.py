"""Weights from files: which a network begins with, read without running code, and what of them does not fit."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from empirical.data.reading import note
from empirical.encoders.libraries import LibraryEncoder
from empirical.encoders.network import Network
from theory.archives import require_modest
from theory.checks import ParameterError, require
from theory.files import require_readable, unreadable

EXPORTED, CHECKPOINT = "encoder.safetensors", "checkpoint.pt"  # of an export's and a run's folder
OURS = "difficult-examples/encoder/1"  # in the metadata of an export's weights
NESTED = ("state_dict", "model_state_dict", "model")  # under which others store theirs
COUNTERS = "num_batches_tracked"  # of batch norms with a momentum, which use none
Weights = Mapping[str, Tensor]


class Found(NamedTuple):
    """Weights of a file: an encoder's of a run here, or anybody's; and whether their order is that of a network."""

    tensors: Weights
    ours: bool
    ordered: bool


def begin_with(network: Network, path: Path) -> None:
    """Give a network's encoder the weights of a file.

    Parameters
    ----------
    network : Network
        Its projector stays as it is.
    path : Path
        A checkpoint or export of this project or the folder of one, of which the encoder is taken; or tensors of
        ``torch.save`` or safetensors with the names of the encoder's own, all behind the same words (``module.``) or
        not. Tensors of ``torch.save`` with other names are taken in their order if all are of the same kind (weight,
        bias, …) and shape. Tensors that are left over, such as those of a head, are named in a warning.

    Raises
    ------
    ParameterError
        If there is no such file, or in one line what of it does not fit.
    """
    found = read_weights(path)
    encoder = network.encoder
    module = encoder.net if isinstance(encoder, LibraryEncoder) and not found.ours else encoder
    wanted = module.state_dict()
    chosen, said = _chosen(path, wanted, found)
    for name, value in chosen.items():
        require(
            value.is_floating_point() == wanted[name].is_floating_point(), f"{name} of {path}", value.dtype, "floats"
        )
        require(bool(value.isfinite().all()), f"{name} of {path}", "NaN or infinity", "finite weights")
    module.load_state_dict({**wanted, **chosen})
    if said:
        warnings.warn(f"{path}: {'; '.join(said)}", stacklevel=3)


def read_weights(path: Path) -> Found:
    """The weights that a file holds, see ``begin_with``."""
    path = _file(path)
    if path.suffix.lower() == ".safetensors":
        tensors, ours = _safetensors(path)
        return Found(tensors, ours, False)
    state = load_torch(path, "a file of weights")
    if isinstance(state, dict) and {"settings", "network", "metrics"} <= set(state):
        return Found(_below("encoder.", _tensors(path, state["network"])), True, False)
    nested = next(
        (state[name] for name in NESTED if isinstance(state, dict) and isinstance(state.get(name), dict)), None
    )
    return Found(_tensors(path, state if nested is None else nested), False, True)


def load_torch(path: Path, what: str) -> Any:
    """Tensors and plain data of ``torch.save``; nothing in the file is run.

    Raises
    ------
    ParameterError
        If it cannot be read, or is not ``what``, in the words of the error.
    """
    require_readable(path)
    try:
        require_modest(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles, which are refused all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise unreadable(path, error) from error
    except ParameterError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ParameterError(f"{path} is not {what}") from error


def digest(weights: Weights) -> str:
    """SHA-256 over names and values, in single precision."""
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(name.encode() + value.detach().cpu().float().contiguous().numpy().tobytes())
    return found.hexdigest()


# --- reading ---------------------------------------------------------------------------------------


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    there = [path / name for name in (EXPORTED, CHECKPOINT) if (path / name).exists()]
    if not there:
        raise ParameterError(f"cannot read {path}: there is neither {EXPORTED} nor {CHECKPOINT} in this folder")
    return there[0]


def _safetensors(path: Path) -> tuple[dict[str, Tensor], bool]:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise ParameterError(f"{path} needs safetensors: pip install 'difficult-examples[formats]'") from error
    require_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            ours = (file.metadata() or {}).get("schema") == OURS
            return {name: file.get_tensor(name) for name in file.keys()}, ours  # noqa: SIM118  it is no mapping
    except Exception as error:  # the library raises its own kinds
        raise ParameterError(f"{path} is not a file of safetensors, or it is damaged") from error


def _tensors(path: Path, state: Any) -> dict[str, Tensor]:
    if not isinstance(state, dict):
        raise ParameterError(f"{path} is not a file of weights: a state dict, tensors by name, is expected")
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor) or not isinstance(name, str)]
    if others:
        raise ParameterError(
            f"{path} is not a file of weights: {note(others, 'entry is no tensor', 'entries are none')}"
        )
    return dict(state)


def _below(start: str, tensors: Weights) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


# --- fitting ---------------------------------------------------------------------------------------


def _chosen(path: Path, wanted: Weights, found: Found) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors for the wanted names, and what is to be said of that."""
    needed = [name for name in wanted if not name.endswith(COUNTERS)]
    start = _common_start(needed, found.tensors)
    if start is None and found.ordered and (paired := _in_order(wanted, needed, found.tensors)):
        said = [
            "its names are others, so the tensors are taken in their order",
            *_left_out(found.tensors, paired.values()),
        ]
        return {ours: found.tensors[theirs] for ours, theirs in paired.items()}, said
    names = {name: f"{start or ''}{name}" for name in wanted}
    missing = [name for name in needed if names[name] not in found.tensors]
    there = {name: found.tensors[theirs] for name, theirs in names.items() if theirs in found.tensors}
    other = [
        f"{name} {_shape(value)}, here {_shape(wanted[name])}"
        for name, value in there.items()
        if value.shape != wanted[name].shape
    ]
    if missing or other:
        problems = [
            note(missing, "tensor is missing", "tensors are missing"),
            note(other, "tensor has another shape", "tensors have other shapes"),
            note(_left(found.tensors, names.values()), "tensor has no place", "tensors have no place"),
        ]
        raise ParameterError(f"weights {path} do not fit the encoder: {', '.join(str(n) for n in problems if n.count)}")
    return there, _left_out(found.tensors, names.values())


def _common_start(needed: Sequence[str], tensors: Weights) -> str | None:
    """What stands before all needed names in the file: nothing, or such as ``module.``; None if they are not there."""
    for name in tensors:
        start = name.removesuffix(needed[0])
        if name.endswith(needed[0]) and all(start + other in tensors for other in needed):
            return start
    return None


def _in_order(wanted: Weights, needed: Sequence[str], tensors: Weights) -> dict[str, str]:
    """Names in the file of the needed tensors by their order; nothing unless kinds and shapes are the same."""
    theirs = [name for name in tensors if not name.endswith(COUNTERS)][: len(needed)]
    ours = [(name.rpartition(".")[2], wanted[name].shape) for name in needed]
    same = ours == [(name.rpartition(".")[2], tensors[name].shape) for name in theirs]
    return dict(zip(needed, theirs, strict=True)) if same else {}


def _left_out(tensors: Weights, used: Any) -> list[str]:
    extra = note(_left(tensors, used), "tensor that the encoder has not", "tensors that the encoder has not")
    return [f"left out {extra}"] if extra.count else []


def _left(tensors: Weights, used: Any) -> list[str]:
    taken = set(used)
    return [name for name in tensors if name not in taken and not name.endswith(COUNTERS)]


def _shape(x: Tensor) -> str:
    return "×".join(map(str, x.shape)) or "one number"
