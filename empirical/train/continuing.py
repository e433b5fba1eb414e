"""Going on with a run under other settings than those that it was begun with: of another length, or elsewhere.

A run may go on as a longer one if all steps that it has done are those of the longer one: then it ends with the same
bits as one that had this length from the start. Where they are not, it goes on all the same, but says what differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from empirical.train.settings import Settings, learning_rate, phases
from theory.checks import ParameterError
from theory.files import require_unchanged

LENGTH = ("epochs", "warmup", "resolutions", "glofnd_start")  # of which, or of shares of which, the schedules are
PLACE = ("devices", "accelerator")  # all state is that of the global batch


@dataclass(frozen=True)
class Continuation:
    """What is to be said and kept of a run that goes on under other settings.

    Parameters
    ----------
    warning : str or None
        What makes its weights others than those of a run under these settings from the start; None if they are the
        same.
    record : dict
        The step from which it went on and the settings behind the warning, before and now; empty without one.
    finished : int or None
        Epochs of the run, if it was finished: its final weights are results of their own.
    """

    warning: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    finished: int | None = None


def require_same_run(before: Mapping[str, Any], settings: Settings, out: Path) -> None:
    """Refuse a run that was begun with other settings, naming the first; those of length and place are not compared."""
    free = {name: before[name] for name in (*LENGTH, *PLACE) if name in before}
    _require_unchanged(before, {**settings.to_json(), **free}, out)


def continuation(before: Mapping[str, Any], settings: Settings, step: int, per_epoch: int, out: Path) -> Continuation:
    """How a run that was begun with the settings ``before`` goes on after ``step`` steps.

    Raises
    ------
    ParameterError
        If other settings than those of length and place differ; if more epochs are done than are asked for; or if
        the schedules of the steps so far differ for another reason than more epochs.
    """
    require_same_run(before, settings, out)
    now = settings.to_json()
    old = Settings.from_json({**now, **{name: before[name] for name in (*LENGTH, *PLACE) if name in before}})
    changed = {name: [before.get(name), now[name]] for name in (*LENGTH, *PLACE) if before.get(name) != now[name]}
    done, steps = math.ceil(step / per_epoch), settings.epochs * per_epoch
    if step > steps:
        raise ParameterError("epochs", settings.epochs, f"at least the {done} that the run in {out} has done")
    said, recorded = [], {}
    differing = _differing(old, settings, step, per_epoch) if set(changed) & set(LENGTH) else []
    if differing:
        if set(changed) - set(PLACE) != {"epochs"} or settings.epochs < old.epochs:
            _require_unchanged(before, {**now, **{name: before[name] for name in PLACE if name in before}}, out)
        recorded["epochs"] = changed["epochs"]
        said.append(_lengthened(old, settings, step, per_epoch, differing))
    moved = {name: changed[name] for name in PLACE if name in changed and step < steps}
    if moved:
        recorded |= moved
        where = ", ".join(f"{name} = {new} in place of {was}" for name, (was, new) in moved.items())
        said.append(f"{where}: weights, optimiser, queue and batches stay, the views from here on are drawn otherwise")
    finished = old.epochs if step == old.epochs * per_epoch < steps else None
    if not said:
        return Continuation(finished=finished)
    kept = f"; its weights of {finished} epochs stay in {kept_name(finished)}" if finished else ""
    warning = f"{out} goes on at step {step} with {' and with '.join(said)}{kept}"
    return Continuation(warning, {"step": step, "settings": recorded}, finished)


def other_length(before: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a run was begun with another length, or shares of it."""
    return any(before.get(name) != getattr(settings, name) for name in LENGTH)


def kept_name(epochs: int, name: str = "checkpoint.pt") -> str:
    """Under which name a file of a run that was finished after so many epochs stays when it goes on."""
    path = Path(name)
    return f"{path.stem}-{epochs}-epochs{path.suffix}"


def _require_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    require_unchanged(
        before, now, lambda name, old, new: ParameterError(name, new, f"the settings of the run in {out}: {old}")
    )


def _lengthened(old: Settings, settings: Settings, step: int, per_epoch: int, differing: list[str]) -> str:
    warning = (
        f"epochs = {settings.epochs} in place of {old.epochs}: the steps so far had the {' and '.join(differing)} of "
        f"{old.epochs}, so the weights will not be those of a run of {settings.epochs} from the start"
    )
    if settings.schedule != "constant":
        return f"{warning} (those of a run with --schedule constant --warmup 0 would be)"
    share = f"{old.warmup * old.epochs / settings.epochs:.6g}"  # of the new steps: as many as before
    kept = Settings.from_json({**settings.to_json(), "warmup": float(share)})
    return warning if _differing(old, kept, step, per_epoch) else f"{warning} (with --warmup {share} they will)"


def _differing(one: Settings, other: Settings, count: int, per_epoch: int) -> list[str]:
    """What the first ``count`` steps of two runs do not share."""
    found: set[str] = set()
    schedules = _schedule(one, per_epoch), _schedule(other, per_epoch)
    for step in range(count):
        first, second = (schedule(step) for schedule in schedules)
        found |= {name for name in first if first[name] != second[name]}
    return sorted(found)


def _schedule(settings: Settings, per_epoch: int) -> Callable[[int], dict[str, float]]:
    """What the settings make of a step, by what errors call it."""
    steps = per_epoch * settings.epochs
    warmup, views = round(settings.warmup * steps), phases(settings.resolutions)
    flagging = settings.remedy is not None and settings.remedy.select == "threshold"
    start = round(settings.glofnd_start * settings.epochs)

    def at(step: int) -> dict[str, float]:
        return {
            "learning rates": learning_rate(step, steps, warmup, settings.peak_rate, settings.schedule),
            "sizes of views": next(share for share, until in views if step < until * steps),
            "beginning of glofnd": flagging and step // per_epoch >= start,
        }

    return at
