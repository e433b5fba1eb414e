"""No process that a training has started outlives it, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import below, ended_within, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
ROOT = Path(__file__).parents[2]
TINY = ["--encoder", "convnet", "--width", "4", "--dim", "6", "--batch", "20", "--accelerator", "cpu"]
FOREVER = ["--epochs", "100000", "--checkpoint-every", "2", "--out", "out"]
FROM_FILES = """
import sys
from empirical.data import sources
from empirical.train.__main__ import main
sources.LARGEST_LOADED = 0  # all images are read while training
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{number}.png")
    return tmp_path


def endless(folder, *command, processes):
    """A training that has begun and has started so many processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    found = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: (folder / "out" / "checkpoint.pt").exists() or found.poll() is not None)
    assert found.poll() is None, found.communicate()
    wait_for(lambda: len(below(found.pid)) >= processes)
    return found


@pytest.mark.parametrize("asked", [signal.SIGKILL, signal.SIGTERM], ids=lambda asked: asked.name)
def test_readers_of_images_end_with_the_training(pictures, asked):
    arguments = ["--data", "folder:data", *TINY, "--workers", "2", *FOREVER]
    main = endless(pictures, sys.executable, "-c", FROM_FILES, *arguments, processes=2)
    processes = below(main.pid)
    main.send_signal(asked)
    main.communicate(timeout=30)
    assert main.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143}[asked]
    assert ended_within(10, processes) == set()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [signal.SIGKILL, signal.SIGTERM], ids=lambda asked: asked.name)
def test_further_devices_end_with_the_first(tmp_path, asked):
    """SIGTERM alone to the first lets the run save."""
    command = [sys.executable, "-m", "empirical.train", "--data", "digits", "--train", "100", "--test", "50"]
    main = endless(tmp_path, *command, *TINY, "--devices", "2", *FOREVER, processes=1)
    processes = below(main.pid)
    main.send_signal(asked)
    main.communicate(timeout=60)
    assert main.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143}[asked]
    assert ended_within(10, processes) == set()
