"""The estimator: scikit-learn's conventions, and the numbers of the commands."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import empirical
from empirical import DifficultExamples
from empirical.data.features import Features
from empirical.difficulty import Criteria, assess
from empirical.estimator import NOT_APPLICABLE, is_matrix
from empirical.evaluate.probes import probe
from empirical.profile import measure, verdict
from theory.checks import ParameterError
from theory.plan import plan_from_profile

NAMES = np.array(["<script>alert(1)</script>", "mug & cup", "jug"], dtype=object)


def samples(n=40, seed=0, width=8):
    """Three classes, the first two of which have look-alikes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(3 * n) % 3
    means = 2 * np.eye(3, width)
    features = means[labels] + 0.3 * rng.standard_normal((3 * n, width))
    between = (labels < 2) & (rng.random(3 * n) < 0.15)
    features[between] = means[:2].mean(axis=0) + 0.3 * rng.standard_normal((between.sum(), width))
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def fitted():
    features, labels = samples()
    return DifficultExamples(seed=3).fit(features, NAMES[labels], ids=[f"<b>{i}</b>" for i in range(len(labels))])


# --- scikit-learn's conventions --------------------------------------------------------------------


REFUSED = {  # by the very refusal that NOT_APPLICABLE gives as its reason: any other failure is one
    "check_n_features_in_after_fitting": r"features = 1[05] rows violates at least 20 rows",
    "check_estimators_nan_inf": "features = 10 rows violates at least 20 rows",
    "check_estimators_dtypes": "1 row that is all zero",
}


@parametrize_with_checks([DifficultExamples()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_checks_of_scikit_learn(estimator, check):
    name = check.func.__name__
    if name in REFUSED:
        with pytest.raises(ParameterError, match=REFUSED[name]):
            check(estimator)
    else:
        check(estimator)


def test_what_does_not_apply_is_a_check_and_has_a_reason():
    names = {check.func.__name__ for _, check in estimator_checks_generator(DifficultExamples())}
    assert NOT_APPLICABLE.keys() == REFUSED.keys() <= names


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.int64, object])
def test_types_of_numbers(dtype):
    """In place of the check that fits a row of zeros."""
    features, labels = samples()
    values = np.round(10 * features).astype(dtype)
    found = DifficultExamples().fit(values, labels)
    assert found.n_features_in_ == 8
    assert found.scores_.shape == (120,)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    """In place of the check that fits ten samples."""
    features, labels = samples()
    features[3, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|inf"):
        DifficultExamples().fit(features, labels)


def test_importing_the_package_is_cheap():
    code = "import sys, empirical; print(*({'numpy', 'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "\n"
    assert dir(empirical) == ["DifficultExamples"]


def test_clones_and_pickles(fitted, tmp_path):
    assert clone(fitted).get_params() == {"share": 0.08, "by": None, "classes": None, "seed": 3}
    with pytest.raises(NotFittedError):
        clone(fitted).to_frame()
    again = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(again.to_frame(), fitted.to_frame())
    assert again.report(tmp_path / "a.html").read_text() == fitted.report(tmp_path / "b.html").read_text()


# --- the numbers -----------------------------------------------------------------------------------


def test_the_numbers_are_those_of_profile_and_difficulty(fitted):
    features, labels = samples()
    numbers = np.unique(NAMES[labels], return_inverse=True)[1]
    names = sorted(NAMES)
    profile = measure({"encoder": Features(features)}, numbers, "features", seed=3, names=names).profile
    plan = plan_from_profile(profile)
    expected = assess(Features(features), numbers, Criteria(seed=3), plan)
    assert fitted.profile_.spaces == profile.spaces
    assert fitted.profile_.pairs == profile.pairs
    assert fitted.plan_ == plan
    assert fitted.verdict_ == verdict(profile, plan)
    assert fitted.predicted_accuracy_ == profile.predicted_probe.accuracy.value
    table = fitted.to_frame()
    assert table["id"].tolist() == [f"<b>{i}</b>" for i in range(120)]
    assert table["class"].tolist() == NAMES[labels].tolist()
    for name, values in expected.scores.items():
        np.testing.assert_array_equal(table[name], values)
    np.testing.assert_array_equal(fitted.scores_, expected.scores["doubt"])
    np.testing.assert_array_equal(fitted.difficult_, expected.difficult)
    np.testing.assert_array_equal(fitted.pairs_[["first", "second"]], expected.pairs.rows)
    assert (fitted.pairs_["class_first"] != fitted.pairs_["class_second"]).all()
    worst = fitted.class_pairs_.iloc[0]
    assert {worst["first"], worst["second"]} == set(NAMES[:2])
    assert worst["severity"] == profile.pairs[0].severity
    assert worst["flagged"]


@pytest.mark.parametrize("without", [0, 7])
def test_nothing_is_computed_twice(without, monkeypatch):
    fitted_rows = []

    def counted(features, labels):
        fitted_rows.append(len(features))
        return probe(features, labels)

    monkeypatch.setattr("empirical.profile.measurement.probe", counted)
    features, labels = samples()
    labels[:without] = -1
    alone = assess(Features(features), labels).scores
    assert sum(fitted_rows) == 120 - without
    monkeypatch.setattr("empirical.difficulty.assessment.measure", None)
    found = DifficultExamples().fit(features, labels)
    assert sum(fitted_rows) == 2 * (120 - without)
    np.testing.assert_array_equal(found.to_frame()["gap"], alone["gap"])


@pytest.mark.parametrize(("by", "sign", "column"), [("gap", -1, "gap"), ("flags", 1, "flag_share"), ("sas", -1, "sas")])
def test_larger_scores_are_more_difficult(by, sign, column):
    features, labels = samples()
    found = DifficultExamples(by=by, share=0.1).fit(features, labels)
    np.testing.assert_array_equal(found.scores_, sign * found.to_frame()[column])
    for c in range(3) if by != "flags" else ():
        own = found.scores_[labels == c]
        assert own[found.difficult_[labels == c]].min() >= own[~found.difficult_[labels == c]].max()
    assert found._examination.order[: found.difficult_.sum()].tolist() == sorted(
        np.flatnonzero(found.difficult_), key=lambda i: (-found.scores_[i], i)
    )


def test_without_labels_clusters_stand_for_classes():
    features, _ = samples()
    found = DifficultExamples(classes=3).fit(features)
    assert found.profile_.labels == "clusters"
    assert found.predicted_accuracy_ is None
    assert len(found.class_pairs_) == 0
    assert list(found.class_pairs_)[:3] == ["first", "second", "severity"]
    assert np.isfinite(found.scores_).all()
    assert "mislabelled" not in found.to_frame()


def test_samples_without_a_label_have_no_score():
    features, labels = samples()
    labels[::10] = -1
    found = DifficultExamples().fit(features, labels)
    assert np.isnan(found.scores_[::10]).all()
    assert np.isfinite(np.delete(found.scores_, np.s_[::10])).all()
    assert not found.difficult_[::10].any()
    assert np.isfinite(found.scores_[found._examination.order[:100]]).all()


# --- what it takes ---------------------------------------------------------------------------------


def sources(folder):
    """The same features in other hands."""
    features, _ = samples()
    np.save(folder / "f.npy", features)
    table = pd.DataFrame({"vector": list(features)})
    table.to_parquet(folder / "f.parquet")
    return {
        "list": features.tolist(),
        "frame": pd.DataFrame(features, columns=[f"x{i}" for i in range(8)]),
        "column of vectors": table,
        "tensor": torch.from_numpy(features),
        "path": folder / "f.npy",
        "text": str(folder / "f.parquet"),
        "paths": [folder / "f.npy"],
    }


def test_features_may_be_anything_that_the_commands_read(tmp_path):
    features, labels = samples()
    expected = DifficultExamples().fit(features, labels)
    for name, source in sources(tmp_path).items():
        found = DifficultExamples().fit(source, labels)
        np.testing.assert_allclose(found.scores_, expected.scores_, atol=1e-6, err_msg=name)
        assert found.n_features_in_ == 8
    assert DifficultExamples().fit(pd.DataFrame(features).add_prefix("x"), labels).feature_names_in_[1] == "x1"


def test_labels_and_ids_may_be_lists_of_text_or_files(tmp_path):
    features, labels = samples()
    expected = DifficultExamples().fit(features, NAMES[labels], ids=np.arange(120)).to_frame()
    names, ids = NAMES[labels].tolist(), [str(i) for i in range(120)]
    pd.DataFrame({"label": names}).to_csv(tmp_path / "labels.csv", index=False)
    pd.testing.assert_frame_equal(DifficultExamples().fit(features, names, ids=ids).to_frame(), expected)
    pd.testing.assert_frame_equal(
        DifficultExamples().fit(features, tmp_path / "labels.csv", ids=ids).to_frame(), expected
    )


def test_what_scikit_learn_checks(tmp_path):
    checked = {name for name, source in sources(tmp_path).items() if is_matrix(source)}
    assert checked == {"list", "frame"}
    assert not is_matrix({"vector": np.ones((3, 2))})


def test_ids_and_images_are_of_the_samples(tmp_path):
    features, labels = samples()
    pictures = np.zeros((120, 6, 6), dtype=np.uint8)
    found = DifficultExamples().fit(features, labels, images=pictures)
    assert "image" not in found.to_frame()
    files = [tmp_path / f"{i}.png" for i in range(120)]
    for file in files:
        file.touch()
    found = DifficultExamples().fit(features, pd.Series(labels), ids=pd.Series(range(120)), images=pd.Series(files))
    assert found.to_frame()["image"].tolist() == [str(file) for file in files]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": range(119)}, "119 ids"),
        ({"ids": [1] * 120}, "id occurs more than once"),
        ({"images": np.zeros((3, 4, 4))}, "images = 3 images violates one for each of 120 rows"),
        ({"images": ["nowhere.png"] * 120}, "pictures are not there"),
        ({"y": np.zeros(120, int)}, "1 class violates at least two classes"),
        ({"y": np.zeros(3, int)}, "3 labels"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    features, labels = samples()
    with pytest.raises(ParameterError, match=message):
        DifficultExamples().fit(**{"X": features, "y": labels, **arguments})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"share": 2}, "share = 2"), ({"by": "gaps"}, "did you mean gap"), ({"classes": 1}, "classes = 1")],
)
def test_parameters_outside_their_ranges_are_refused_when_it_is_fitted(parameters, message):
    estimator = DifficultExamples(**parameters)
    with pytest.raises(ParameterError, match=message):
        estimator.fit(*samples())


# --- what a notebook and cleanlab see --------------------------------------------------------------


def test_a_notebook_shows_the_verdict_with_names_escaped(fitted):
    html = fitted._repr_html_()
    assert "Difficult-example problem" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "<b>1" not in html
    assert fitted._repr_mimebundle_()["text/html"] == html
    assert "<script>alert" not in clone(fitted)._repr_mimebundle_().get("text/html", "")


def test_cleanlab_takes_the_scores_as_an_issue(fitted):
    """The example of docs/howto/own-embeddings.md runs too; here the columns are merged, and agree."""
    cleanlab = pytest.importorskip("cleanlab")
    features, labels = samples()
    lab = cleanlab.Datalab({"label": labels}, label_name="label", verbosity=0)
    lab.find_issues(features=features, issue_types={"outlier": {}, "near_duplicate": {}})
    merged = lab.get_issues().join(fitted.to_frame()[["id", "doubt", "difficult", "ambiguous"]])
    assert len(merged) == 120
    assert merged.columns[-4:].tolist() == ["id", "doubt", "difficult", "ambiguous"]
    lab.issues = lab.issues.join(
        pd.DataFrame({"is_difficult_issue": fitted.difficult_, "difficult_score": 1 - fitted.scores_})
    )
    assert lab.get_issues()["is_difficult_issue"].sum() == fitted.difficult_.sum() == 9
    assert lab.get_issues()["difficult_score"].between(0, 1).all()


def test_the_report_is_the_commands(fitted, tmp_path):
    found = fitted.report(str(tmp_path / "page.html"))
    assert found == Path(tmp_path / "page.html")
    assert fitted.verdict_.split(":")[0] in found.read_text()
    with pytest.raises(ParameterError, match="a name that ends in .html"):
        fitted.report(tmp_path / "page.pdf")


def test_numbers_of_numpy_are_parameters_too(tmp_path):
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = np.eye(3, 6)[y] + 0.2 * generator.standard_normal((60, 6))
    found = DifficultExamples(seed=np.int64(3), share=np.float32(0.1)).fit(x, y)
    assert found.report(tmp_path / "page.html").exists()
