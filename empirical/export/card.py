"""The model card of an export, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empirical.encoders.weights import EXPORTED
from empirical.export.formats import ONNX, TORCHSCRIPT
from empirical.train.settings import Settings
from theory.checks import printable

HEAD = """\
---
license: unknown
pipeline_tag: image-feature-extraction
---
# An image encoder, trained by contrastive learning

Written by `difficult export`. Nobody has said under which licence it may be passed on: that depends on the images and,
where it began with other weights, on these. Fill this in before you publish it.
"""

USE = """\
## Use

```python
from empirical.export import load_encoder

encoder = load_encoder("THIS FOLDER")  # or the run's checkpoint
features = encoder(images)  # floats in [0, 1], shape {shape}; gives (B, {features})
```
"""

FILES = {
    EXPORTED: "weights alone; `config.json` says of what",
    TORCHSCRIPT: f'without this project: `torch.jit.load("{TORCHSCRIPT}")(images)`',
    ONNX: "in other runtimes: input `images`, output `features`",
}


@dataclass(frozen=True)
class Origin:
    """What is known of a run whose encoder is exported.

    Parameters
    ----------
    settings : Settings
    read : str or None
        What was read, in one line.
    scores : str or None
        Linear probe and kNN as a table, if they were measured.
    """

    settings: Settings
    read: str | None
    scores: str | None


def card(config: Mapping[str, Any], origin: Origin, files: Sequence[str]) -> str:
    """The card.

    Parameters
    ----------
    config : mapping
        What ``config.json`` holds.
    origin : Origin
    files : sequence of str
        Of the weights and programs.
    """
    s, size = origin.settings, config["size"]
    sides = "height, width" if size is None else f"{size[0]}, {size[1]}"
    shape = f"(B, {config['channels']}, {sides})"
    steps = f"{s.epochs} epochs of batches of {s.batch}, {s.optimizer}, seed {s.seed}"
    method = f"{s.framework}, loss {s.loss}, arm {s.arm}, {steps}"
    rows = {
        "encoder": _code(config["encoder"]),
        "images": f"floats in [0, 1], shape {shape}",
        "normalisation": f"inside: less {_numbers(config['mean'])}, divided by {_numbers(config['std'])}",
        "features": str(config["features"]),
        "trained on": _code(s.data),
        "trained by": _code(method),
        "began with": _begun(s),
        "SHA-256 of the weights": _code(config["weights"]),
        "licence": "unknown",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
    parts = [HEAD, table + "\n", USE.format(shape=shape, features=config["features"])]
    parts.append("\n".join(f"- `{name}`: {FILES[name]}." for name in files) + "\n")
    parts.append("## What it was trained on\n\n" + _block(origin.read or "not recorded"))
    measured = "not measured" if origin.scores is None else origin.scores
    parts.append("## Accuracy on the test images\n\n" + _block(measured))
    parts.append("## All settings\n\n" + _block(json.dumps(config["settings"], indent=2)))
    return "\n".join(parts)


def _begun(settings: Settings) -> str:
    if settings.pretrained:
        return "the weights of its library"
    return "random weights" if settings.weights is None else _code(settings.weights)


def _code(text: str) -> str:
    """Text in which nothing is Markdown or HTML."""
    return "`" + printable(text).replace("`", "'").replace("|", "\\|") + "`"


def _block(text: str) -> str:
    """The same of several lines."""
    return "".join(f"    {printable(line)}\n" for line in text.splitlines())


def _numbers(values: Sequence[float]) -> str:
    """One number, or one for each colour."""
    shown = [f"{value:.6g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"({', '.join(shown)})"
