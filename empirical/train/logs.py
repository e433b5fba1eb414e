"""What a run writes beside its weights: environment, result, rows of metrics; and what it shows on a terminal."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from empirical.evaluate.protocol import Protocol
from empirical.train.settings import Settings
from theory.checks import is_finite, require
from theory.files import read_json, write_json, write_text

RESULT_SCHEMA = "difficult-examples/result/2"
EARLIER_SCHEMA = "difficult-examples/result/1"  # whose protocols had other settings by the same names
EARLIER_NAMES = {"warmup": "pilot"}  # of what is no arm
PACKAGES = ("difficult-examples", "torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn")
Progress = Callable[[int, int, int], None]


def environment(device: torch.device) -> dict[str, Any]:
    """Package versions, machine and device, as plain data."""
    gpu = device.type == "cuda"
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "device": torch.cuda.get_device_name(device) if gpu else device.type,
    }


def write_result(
    out: Path,
    kind: str,
    settings: Settings,
    metrics: dict[str, float],
    protocol: Protocol,
    seconds: float,
    device: torch.device,
    continued: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write result.json, a run's last file: what was measured on its final weights, and with what.

    Parameters
    ----------
    out : Path
        The run's folder.
    kind : str
        ``arm``, ``pilot`` or the name of a reference row.
    settings : Settings
    metrics : dict of float
        Accuracies by name.
    protocol : Protocol
        How they were measured.
    seconds : float
        Wall time of the run and its evaluation (since it was last resumed).
    device : torch.device
        Where it was trained.
    continued : sequence of mapping
        Where it went on under other settings, see ``empirical.train.continuing.Continuation``.
    """
    document = {
        "schema": RESULT_SCHEMA,
        "kind": kind,
        "arm": settings.arm if kind == "arm" else kind,
        "seed": settings.seed,
        "omega": settings.omega,
        "metrics": metrics,
        "protocol": settings.kind.document(protocol),
        "seconds": seconds,
        "settings": settings.to_json(),
        **environment(device),
        **({"continued": list(continued)} if continued else {}),
    }
    write_json(out / "result.json", document)


def read_result(path: Path) -> dict[str, Any]:
    """A result.json; ``protocol`` is a ``Protocol``, of earlier files too.

    Raises
    ------
    ParameterError
        If the file cannot be read, is damaged, or has another schema.
    """
    result = read_json(path)
    found = result.get("schema")
    require(found in (RESULT_SCHEMA, EARLIER_SCHEMA), f"schema of {path}", found, f"schema == {RESULT_SCHEMA}")
    for name in ("metrics", "settings"):
        require(isinstance(result.get(name), dict), f"{name} of {path}", result.get(name), "a JSON object")
    for name in ("seed", "omega", "seconds"):
        require(is_finite(result.get(name)), f"{name} of {path}", result.get(name), "a number")
    require(isinstance(result.get("arm"), str), f"arm of {path}", result.get("arm"), "a name")
    for name, value in result["metrics"].items():
        require(value is None or is_finite(value), f"{name} of {path}", value, "a number")
    arm = EARLIER_NAMES.get(result["arm"], result["arm"])
    return {**result, "arm": arm, "protocol": Protocol.from_json(result.get("protocol"))}


def write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    """Rows as a CSV file, floats to eight digits; blank where a row lacks a key that another has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{row[name]:.8g}" if name in row else "" for name in names] for row in rows]
    write_text(path, "\n".join(",".join(line) for line in [names, *cells]) + "\n")


class StepBar:
    """A callback that shows steps done, views per second and the estimated end.

    Within it messages have lines of their own: the bar is closed when it is left, by an error too.

    Parameters
    ----------
    description : str
    views : int
        Views per step.
    """

    def __init__(self, description: str, views: int) -> None:
        self.description, self.views = description, views
        self._bar: Any = None

    def __enter__(self) -> StepBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, steps: int, epoch: int) -> None:
        """Move to ``done`` of ``steps``."""
        from theory.bars import Bar

        if self._bar is None:
            self._bar = Bar(total=steps, initial=done, desc=self.description, unit="step")
        self._bar.update(done - self._bar.n)
        rate = self._bar.format_dict["rate"]
        shown = {"epoch": epoch, "views/s": round(rate * self.views) if rate else "–"}
        self._bar.set_postfix(shown, refresh=False)
        if done == steps:
            self._bar.close()


def speaks() -> bool:
    """Whether this is the only process of a run, or the first of several that are connected, which writes for all."""
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not several or torch.distributed.get_rank() == 0


def say(message: str) -> None:
    """Write a line to stderr, above a bar that is shown there."""
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)
