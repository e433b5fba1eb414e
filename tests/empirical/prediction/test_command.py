import json
import re

import numpy as np
import pytest

from empirical.prediction import METRICS, predict
from empirical.prediction.__main__ import main
from tests.empirical.prediction.worlds import gaussian


@pytest.fixture
def files(tmp_path):
    """Features and labels on disk, and as arguments."""
    x, labels = gaussian(per_class=80)
    np.save(tmp_path / "f.npy", x.astype(np.float32))
    np.save(tmp_path / "l.npy", labels)
    return ["--features", str(tmp_path / "f.npy"), "--labels", str(tmp_path / "l.npy")]


def test_text_and_json_say_what_the_function_returns(files, capsys):
    x, labels = gaussian(per_class=80)
    found = predict(x.astype(np.float32), labels, 10, components=2)
    arguments = [*files, "--labels-per-class", "10", "--metrics"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"] == pytest.approx(found.accuracy)
    assert (document["labels_per_class"], document["components"], document["covariance"]) == (10, 2, "own")
    assert set(document["metrics"]) == set(METRICS)
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"f.npy: 12 dimensions, κ = {found.kappa:.3g}, 10 labels a class\n")
    numbers = [f"{100 * value:.2f} %" for value in (found.accuracy, found.low, found.high)]
    assert f"  predicted accuracy of a linear probe {numbers[0]} [{numbers[1]}, {numbers[2]}]\n" in text
    assert "It holds for new samples of the distribution of these features" in text
    for name, metric in METRICS.items():
        line = next(line.split() for line in text.splitlines() if line.split()[:1] == [name])
        assert line[2:] == [
            "larger" if metric.larger_is_better else "smaller",
            *(["used"] if metric.uses_labels else ["not", "used"]),
        ]


def test_the_fast_version_and_several_files(files, tmp_path, capsys):
    x, labels = gaussian(per_class=80)
    for i in range(2):
        np.save(tmp_path / f"part-{i}.npy", x[160 * i : 160 * (i + 1)])
    assert main(["--features", str(tmp_path / "part-*.npy"), *files[2:], "--pooled", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "part-0.npy … part-1.npy (2 files)"
    assert document["accuracy"] == pytest.approx(predict(x, labels, covariance="pooled").accuracy)
    assert "metrics" not in document


def test_no_number_is_said_with_its_reason(tmp_path, capsys):
    x, labels = gaussian(per_class=10, width=38)
    np.save(tmp_path / "f.npy", x)
    np.save(tmp_path / "l.npy", labels)
    arguments = ["--features", str(tmp_path / "f.npy"), "--labels", str(tmp_path / "l.npy")]
    assert main(arguments) == 0
    assert "  no number: κ = 36/(40 − 4) = 1 > 0.9: too few samples to tell\n" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] is None


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda x, labels: (x, np.where(labels == 3, 2, labels)[:-1]), [], "319 labels violates one for each of 320"),
        (lambda x, labels: (x, 0 * labels), [], "labels = 1 class violates at least two classes"),
        (lambda x, labels: (x, np.append(labels[:-1], 9)), [], "a class of 1 sample violates at least two samples"),
        (
            lambda x, labels: (np.where(x == x[5, 2], np.nan, x), labels),
            [],
            "f.npy: 1 row that is NaN or infinite (row 5)",
        ),
        (
            lambda x, labels: (x, labels),
            ["--labels-per-class", "0"],
            "labels_per_class = 0 violates an integer in [1, 1000000000000]",
        ),
        (lambda x, labels: (x, labels), ["--components", "3"], "--components 3"),
        (lambda x, labels: (x[0], labels), [], "violates a float matrix"),
        (lambda x, labels: (x, labels + 0.5), [], "violates integer labels; −1, null or NaN for none in"),
    ],
)
def test_bad_input_is_one_line(change, arguments, message, tmp_path, capsys):
    x, labels = change(*gaussian(per_class=80))
    np.save(tmp_path / "f.npy", x)
    np.save(tmp_path / "l.npy", labels)
    paths = ["--features", str(tmp_path / "f.npy"), "--labels", str(tmp_path / "l.npy")]
    assert main([*paths, *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.parametrize("scale", [1e-160, 1e200, 1e300])
def test_features_of_extreme_size_are_refused(scale, files, capsys):
    np.save(files[1], np.load(files[1]).astype(np.float64) * scale)
    assert main([*files, "--metrics"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"error: features = \S+ in size violates between 1e-50 and 1e\+50\n", printed.err)


def test_pooled_classes_have_one_component(files, capsys):
    assert main([*files, "--pooled", "--components", "2"]) == 2
    assert capsys.readouterr().err == "error: --components = 2 violates 1 with --pooled\n"
    assert main([*files, "--labels-per-class", "1" + 22 * "0"]) == 2
    assert "labels_per_class" in capsys.readouterr().err
