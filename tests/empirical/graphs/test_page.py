"""The page's example runs as it stands."""

import re
import shutil
from pathlib import Path

import pytest

from tests.empirical.graphs.conftest import MUTAG

PAGE = Path(__file__).resolve().parents[3] / "docs" / "graphs.md"


@pytest.mark.skipif(not MUTAG.exists(), reason="there is no ../shared/data/graphs/MUTAG.zip")
def test_the_example(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch_geometric")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(MUTAG, tmp_path / "data")
    exec(compile(example, PAGE.name, "exec"), {})
    read, shapes, accuracy = capsys.readouterr().out.splitlines()
    assert read.startswith(
        "read MUTAG: 2 classes (-1, 1), 188 samples; skipped 1 file (MUTAG_edge_labels.txt); converted "
    )
    assert shapes == "torch.Size([256, 96]) 96"
    assert 0.6 < float(accuracy.split()[0]) < 1
