"""The files of an export: weights, programs for other runtimes, what they are, and a model card."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from empirical.data.reading import READING
from empirical.encoders.weights import EXPORTED, OURS, digest
from empirical.evaluate.scoring import describe
from empirical.export.card import Origin, card
from empirical.export.formats import DEFAULT_FORMATS, FORMATS, ONNX, TORCHSCRIPT, missing_library
from empirical.export.loading import CONFIG, ImageEncoder
from empirical.train.checkpoint import CHECKPOINT, load_image_network
from empirical.train.logs import read_result
from empirical.train.settings import Settings
from theory.checks import ParameterError, require, require_known
from theory.files import has_schema, json_text, read_json, require_writable, write_together
from theory.locks import locked

CARD = "README.md"
CHECKED = 3  # images on which a program must give the encoder's own features
TOLERANCE = 1e-4  # of them, over the largest


def export(
    checkpoint: Path, out: Path, formats: Sequence[str] = DEFAULT_FORMATS, trusted: Collection[str] = ()
) -> list[Path]:
    """Write the encoder of a checkpoint to a folder.

    Parameters
    ----------
    checkpoint : Path
        A checkpoint of ``empirical.train``, or the run's folder.
    out : Path
        A new folder, or one of an earlier export, which is replaced.
    formats : sequence of str
        ``torchscript`` and ``onnx``, whose programs are compared with the encoder on random images before anything is
        written (ONNX if onnxruntime is installed). The weights themselves, ``safetensors``, are always written.
    trusted : collection of str
        See ``load_encoder``.

    Returns
    -------
    list of Path
        Weights, programs, README.md (the model card) and config.json, which is written last.

    Raises
    ------
    ParameterError
        If there is no such checkpoint, a library is missing, the folder holds something else, or a program gives other
        features than the encoder.
    """
    for name in (FORMATS[0], *formats):
        require_known("formats", name, FORMATS)
        if message := missing_library(name):
            raise ParameterError(message)
    path = checkpoint / CHECKPOINT if checkpoint.is_dir() else checkpoint
    settings, network = load_image_network(path, trusted)
    require(not settings.on_views, "checkpoint", path, "a network of images, not an adapter")
    encoder = ImageEncoder(network).eval()
    _require_free(out)
    contents: dict[str, bytes | str] = {EXPORTED: _safetensors(encoder)}
    for name, (file, program) in PROGRAMS.items():
        if name in formats:
            contents[file] = program(encoder, path)
    config = _config(encoder, settings)
    contents[CARD] = card(config, _origin(path, settings), tuple(contents))
    contents[CONFIG] = json_text(config)
    gone = [out / file for file, _ in PROGRAMS.values() if file not in contents]
    with locked(out):
        write_together({out / name: content for name, content in contents.items()}, gone)
    return [out / name for name in contents]


def _config(encoder: ImageEncoder, settings: Settings) -> dict[str, Any]:
    mean, std = encoder.mean_and_std
    return {
        "schema": OURS,
        "encoder": settings.encoder,
        "channels": encoder.channels,
        "size": None if encoder.size is None else list(encoder.size),
        "features": encoder.features,
        "mean": mean,
        "std": std,
        "weights": digest(encoder.encoder.state_dict()),
        "settings": settings.to_json(),
    }


def _require_free(out: Path) -> None:
    """Refuse a folder that holds files under our names that are not an export's."""
    names = (EXPORTED, CARD, CONFIG, *(file for file, _ in PROGRAMS.values()))
    for name in names:
        require_writable(out / name)
    there = [name for name in names if (out / name).exists()]
    ours = (out / CONFIG).exists() and has_schema(out / CONFIG, OURS)
    require(not (out / CHECKPOINT).exists(), "out", out, "a folder of its own, not that of a run")
    require(not there or ours, "out", out, f"a new folder, or that of an export (there is {', '.join(there)})")


def _origin(path: Path, settings: Settings) -> Origin:
    """What lies beside a checkpoint, as far as it is of this run."""
    read, scores = None, None
    if (path.parent / READING).exists():
        read = str(read_json(path.parent / READING, "line")["line"])
    if (path.parent / "result.json").exists():
        result = read_result(path.parent / "result.json")
        if json.loads(json_text(result["settings"])) == json.loads(json_text(settings.to_json())):
            scores = describe(result["metrics"], result["protocol"])
    return Origin(settings, read, scores)


# --- formats ---------------------------------------------------------------------------------------


def _safetensors(encoder: ImageEncoder) -> bytes:
    from safetensors.torch import save

    weights = {name: value.contiguous() for name, value in encoder.encoder.state_dict().items()}
    return bytes(save(weights, {"schema": OURS}))


def _torchscript(encoder: ImageEncoder, path: Path) -> bytes:
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants, and of what PyTorch recommends instead
        traced: Any = torch.jit.trace(encoder, _images(encoder, path, 2), check_trace=False)
        _require_same("torchscript", encoder, traced, path)
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def _onnx(encoder: ImageEncoder, path: Path) -> bytes:
    buffer: Any = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"]}
        axes = {"images": {0: "batch"}, "features": {0: "batch"}}
        torch.onnx.export(encoder, (_images(encoder, path, 2),), buffer, **names, dynamic_axes=axes, dynamo=False)
    content: bytes = buffer.getvalue()
    if missing_library("onnx", "onnxruntime") is None:
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        _require_same("onnx", encoder, lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), path)
    return content


PROGRAMS: dict[str, tuple[str, Callable[[ImageEncoder, Path], bytes]]] = {
    "torchscript": (TORCHSCRIPT, _torchscript),
    "onnx": (ONNX, _onnx),
}


def _images(encoder: ImageEncoder, path: Path, count: int) -> Tensor:
    if encoder.size is None:
        raise ParameterError(f"{path} does not tell the size of its images: --formats safetensors")
    shape = encoder.channels, *encoder.size
    require(min(shape) >= 1, f"shape of images of {path}", shape, "positive numbers")
    pixels = np.random.default_rng(count).random((count, encoder.channels, *encoder.size), dtype=np.float32)
    return torch.from_numpy(pixels)


def _require_same(name: str, encoder: ImageEncoder, program: Callable[[Tensor], Tensor], path: Path) -> None:
    """Refuse a program that gives other features, as of an encoder whose way depends on its images."""
    images = _images(encoder, path, CHECKED)
    wanted, found = encoder(images).detach(), program(images).detach()
    error = float((wanted - found).abs().max() / wanted.abs().max().clamp_min(1e-12))
    require(error <= TOLERANCE, "formats", name, f"features of the encoder within {TOLERANCE:g} (found {error:.2g})")
