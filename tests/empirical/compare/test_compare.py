import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from empirical import runs as module
from empirical.arms import ARMS, Given
from empirical.compare.__main__ import main
from empirical.compare.experiment import PILOT_SEED, compare, first_tasks, planned
from empirical.compare.presets import PRESETS
from empirical.compare.report import write_report
from empirical.compare.saved import claim, load_experiment
from empirical.evaluate.probes import GRID
from tests.empirical.compare.conftest import SMALL
from tests.empirical.train.test_loop import TINY
from theory.checks import ParameterError
from theory.command import format_number
from theory.plan import Plan, Profile
from theory.sharper import flipped_labels, sharper_bounds

ADDED = ("redundancy", "sigma", "rho", "ranking", "stated", "protocol", "knn_k", "knn_tau")  # by the second schema
REPORT = ("report.html", "results.csv", "results.json")
SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def results(out):
    return {path.parent.relative_to(out): json.loads(path.read_text()) for path in out.glob("*/*/result.json")}


def test_every_run_is_recorded_with_settings_and_versions(finished):
    out, _ = finished
    found = results(out)
    tasks, inapplicable = planned(SMALL, out)
    references = 2 * (1 + 1 + 2)  # pilot, raw pixels, two untrained encoders, for each ω
    assert len(found) == len(tasks) + references
    for path, result in found.items():
        assert result["settings"]["omega"] == result["omega"]
        assert "torch" in result["versions"]
        assert (result["protocol"]["labels_per_class"], result["protocol"]["k"]) == (2, 200)
        assert (result["seed"] == PILOT_SEED) == (path.name == "pilot")
    assert inapplicable[0.0]["mixed_removal"] == "no image is mixed at ω = 0"
    assert "mixed_removal" not in inapplicable[0.5]


def test_arms_use_the_plan_of_their_own_pilot(finished):
    out, _ = finished
    tasks, _ = planned(SMALL, out)
    for task in tasks:
        plan = Plan.load(out / f"omega-{task.settings.omega!r}" / "pilot" / "plan.json")
        arm = ARMS[task.settings.arm]
        if arm.sigma:
            sizes = plan.sizes(task.settings.loss)
            assert task.settings.remedy.sigma == (sizes.combined_sigma if arm.rho else sizes.margin_sigma)
        if arm.drop in ("difficult", "random"):
            assert len(task.settings.drop) == round(plan.removal_fraction * 100)
        if arm.drop == "mixed":
            assert len(task.settings.drop) == 50


def test_random_removal_drops_as_many_of_each_class_and_others_per_seed(finished):
    out, _ = finished
    tasks, _ = planned(SMALL, out)
    by_arm = {(t.settings.omega, t.settings.arm, t.settings.seed): t.settings.drop for t in tasks}
    labels = TINY.data_set().y_train.numpy()
    difficult, random = (np.array(by_arm[0.0, arm, 0]) for arm in ("sample_removal", "random_removal"))
    assert (np.bincount(labels[difficult]) == np.bincount(labels[random])).all()
    assert by_arm[0.0, "random_removal", 0] != by_arm[0.0, "random_removal", 1]
    assert by_arm[0.0, "sample_removal", 0] == by_arm[0.0, "sample_removal", 1]


def test_by_default_the_most_doubtful_of_each_class_are_left_out(finished):
    from empirical.data.features import Features
    from empirical.difficulty.assessment import doubts
    from empirical.encoders import extract
    from empirical.train.checkpoint import load_network

    out, _ = finished
    settings, network = load_network(out / "omega-0.0" / "pilot" / "checkpoint.pt")
    images = settings.data_set()
    labels = images.y_train.numpy()
    found = doubts(Features(extract(network, images.x_train)[0].numpy()), labels)
    expected = [np.flatnonzero(labels == c)[found[labels == c].argmax()] for c in range(10)]  # 1 of 10
    tasks, _ = planned(SMALL, out)
    assert {tuple(sorted(expected))} == {
        t.settings.drop for t in tasks if t.settings.arm == "sample_removal" and t.settings.omega == 0
    }


def test_finished_runs_are_not_repeated_and_the_report_stays_the_same(finished, monkeypatch):
    out, report = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*")}
    page = report.read_text()
    monkeypatch.setattr(module, "execute", lambda task: pytest.fail(f"{task} was run again"))
    assert compare(SMALL, out) == report
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/*")} == before
    assert report.read_text() == page


def test_workers_give_the_same_results(finished, tmp_path):
    out, _ = finished
    few = replace(SMALL, omegas=(0.5,), arms=("baseline", "sample_removal"))
    compare(few, tmp_path, jobs=2)
    expected = results(out)
    for path, result in results(tmp_path).items():
        assert result["metrics"] == pytest.approx(expected[path]["metrics"], abs=0.02)


def test_another_experiment_in_the_folder_is_refused_naming_the_difference(finished):
    out, _ = finished
    with pytest.raises(ParameterError, match=r"seeds = 3 violates seeds = 2 of the experiment"):
        compare(replace(SMALL, seeds=3), out)
    with pytest.raises(ParameterError, match="tau"):
        compare(replace(SMALL, base=replace(SMALL.base, tau=0.1)), out)
    assert load_experiment(out) == SMALL


def test_interrupted_comparison_keeps_what_is_finished(tmp_path, monkeypatch):
    few = replace(SMALL, omegas=(0.0,), arms=("baseline",))
    execute = module.execute

    def stop_at_the_arms(task):
        if task.kind == "arm":
            raise KeyboardInterrupt
        execute(task)

    monkeypatch.setattr(module, "execute", stop_at_the_arms)
    with pytest.raises(KeyboardInterrupt):
        compare(few, tmp_path)
    kept = results(tmp_path)
    assert len(kept) == 4
    monkeypatch.setattr(module, "execute", execute)
    compare(few, tmp_path)
    assert {path: results(tmp_path)[path] for path in kept} == kept


# --- report ----------------------------------------------------------------------------------------


def test_page_is_self_contained_and_opens_with_the_answer(finished):
    out, report = finished
    page, found = report.read_text(), json.loads((out / "results.json").read_text())
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    lead = html.unescape(page[page.index('class="lead"') : page.index("</div>")])
    assert found["answer"] in lead
    assert "two runs of each arm cannot tell a remedy from chance" in lead
    assert all(caution in lead for caution in found["cautions"])
    for words in ("raw pixels", "untrained", "no bound", "too few", "block", "not applicable"):
        assert words in page
    anchors = re.findall(r'href="#([^"]+)"', page[page.index("<nav") : page.index("</nav>")])
    assert len(anchors) == len(set(anchors)) == 7
    assert set(anchors) <= set(re.findall(r'<h2 id="([^"]+)"', page))
    assert page.index("<summary>All settings") > page.rindex("<details>")


def test_two_seeds_have_no_interval_and_show_both_differences(finished):
    out, report = finished
    page = report.read_text()
    for row in json.loads((out / "results.json").read_text())["table"]:
        for metric in ("encoder_probe", "encoder_knn"):
            assert row.get(metric) is None or row[metric]["low"] is row[metric]["high"] is None
        if row.get("difference"):
            assert row["difference"]["low"] is row["detectable"] is row["p_value"] is row["p_holm"] is None
            assert ", ".join(f"{100 * value:+.2f}" for value in row["differences"]) in page.replace("\n", "")
    assert "[+" not in page[page.index('id="differences"') : page.index('id="unseen"')]
    assert "Two runs of each arm have no interval worth its name" in page


def test_what_is_not_decided_was_not_seen(finished):
    page = finished[1].read_text()
    assert "DISAGREEMENT" not in page
    assert "disagree" not in page
    unseen = page[page.index('<h2 id="unseen">') : page.index('<h2 id="run">')]
    assert "mixed removal at ω = 0" in unseen
    assert "Rank correlation of predicted and measured error: too few" in unseen


def test_the_pairs_that_are_shown_lie_in_the_band(finished):
    page = finished[1].read_text()
    for section in page.split('<h2 id="omega-')[1:]:
        pairs = section[section.index("Pairs in the band") : section.index("<h3>Profile")]
        count = int(re.search(r"Shown are (\d+) pairs", pairs)[1])
        inside, alike = pairs.split("<details>")
        assert inside.count("<figure>") == count > 0
        assert "not touched" not in inside
        touched = re.search(r"the remedies touch (\d+|none)", pairs)[1]
        assert alike.count("<figure>") - alike.count("not touched") == (0 if touched == "none" else int(touched))
        different = int(re.search(r"(\d+) of the", pairs)[1])
        assert inside.count("different classes<br>") + inside.count("different classes, difficult") == different


def test_csv_and_json_hold_the_numbers_of_the_page(finished):
    out, report = finished
    table = pd.read_csv(out / "results.csv")
    summary = json.loads((out / "results.json").read_text())
    page = report.read_text()
    for row in summary["table"]:
        if row["not_applicable"]:
            continue
        runs = table[(table.omega == row["omega"]) & (table.arm == row["arm"])]
        assert row["encoder_probe"]["value"] == pytest.approx(runs.encoder_probe.mean())
        assert f"{100 * row['encoder_probe']['value']:.2f}" in page
        if row["difference"]:
            baseline = table[(table.omega == row["omega"]) & (table.arm == "baseline")].set_index("seed")
            difference = (runs.set_index("seed").encoder_probe - baseline.encoder_probe).mean()
            assert row["difference"]["value"] == pytest.approx(difference)


def test_the_predicted_accuracy_stands_beside_the_measured_one(finished):
    out, report = finished
    table, page = pd.read_csv(out / "results.csv"), report.read_text()
    place = [table.columns.get_loc(name) for name in ("encoder_probe", "encoder_predicted_probe")]
    assert place[1] == place[0] + 1
    runs = {(r["omega"], r["arm"], r["seed"]): r["metrics"] for r in results(out).values()}
    for row in table.itertuples():
        wanted = runs[row.omega, row.arm, row.seed].get("encoder_predicted_probe", np.nan)
        assert row.encoder_predicted_probe == pytest.approx(wanted, nan_ok=True)
    assert table.encoder_predicted_probe.notna().sum() > 10
    for row in json.loads((out / "results.json").read_text())["table"]:
        mean = row.get("encoder_predicted_probe")
        assert mean is None or f"<td>{100 * mean['value']:.2f}" in page
    assert "<th>encoder probe</th><th>predicted</th>" in page


def test_every_result_names_its_protocol(finished):
    out, report = finished
    protocol = SMALL.protocol_of(SMALL.base)
    assert all(result["protocol"] == protocol.to_json() for result in results(out).values())
    table = pd.read_csv(out / "results.csv")
    assert set(table.protocol) == {"lbfgs-c1"}
    assert (table.encoder_c == 1).all()
    assert json.loads((out / "results.json").read_text())["protocol"] == protocol.to_json()
    page = report.read_text()
    assert f"by protocol lbfgs-c1.\nProbe: {protocol.probe_words}, the same draws for every row." in page
    assert protocol.knn_words in page


def test_the_papers_constants_stand_beside_the_derived_sizes_where_the_paper_has_the_data(finished, tmp_path):
    out, report = finished
    row = '<tr><td class="text">the paper\'s constant</td><td>0.1</td><td>0.7</td><td>0.1</td><td>0.7</td></tr>'
    assert "the paper's constant</td>" not in report.read_text()
    shutil.copytree(out, tmp_path / "named")
    path = tmp_path / "named" / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stated": "cifar100"}))
    assert write_report(tmp_path / "named").read_text().count(row) == len(SMALL.omegas)


def test_an_experiment_may_name_another_protocol(tmp_path, capsys):
    few = replace(SMALL, omegas=(0.0,), arms=("baseline",), seeds=1, labels_per_class=None)
    compare(replace(few, protocol="lbfgs"), tmp_path / "chosen")
    table = pd.read_csv(tmp_path / "chosen" / "results.csv")
    runs = {(r["omega"], r["arm"], r["seed"]): r["metrics"] for r in results(tmp_path / "chosen").values()}
    for row in table.itertuples():
        assert row.encoder_c == runs[row.omega, row.arm, row.seed]["encoder_c"]
    assert table.encoder_c.isin(GRID).all()
    compare(replace(few, protocol="paper", knn_k=7), tmp_path)
    table = pd.read_csv(tmp_path / "results.csv")
    assert set(table.protocol) == {"paper"}
    assert table.encoder_probe.notna().all()
    assert table.encoder_c.isna().all()
    assert "Zhang et al.&#39;s for cifar10: SGD" in (tmp_path / "report.html").read_text()
    with pytest.raises(ParameterError, match="protocol = lbfgs violates protocol = paper of the experiment in"):
        compare(replace(few, protocol="lbfgs", knn_k=7), tmp_path)
    tasks = first_tasks(replace(few, protocol="adnce"), tmp_path)
    assert {task.kind for task in tasks} == {"pilot", "untrained"}  # pixels have no network to see views through
    assert main(["--preset", "digits-demo", "--protocol", "sgd", "--out", str(tmp_path / "new")]) == 2
    assert "protocol = sgd violates lbfgs or lbfgs-c1, where labels_per_class is given" in capsys.readouterr().err


def test_runs_from_before_the_prediction_are_reported_without(finished, tmp_path):
    out, _ = finished
    shutil.copytree(out, tmp_path / "old")
    earlier = {"probe": "lbfgs", "labels_per_class": 2, "draws": 2, "k": 20, "tau": 0.1}
    for path in (tmp_path / "old").glob("*/*/result.json"):
        result = json.loads(path.read_text()) | {"protocol": earlier, "schema": "difficult-examples/result/1"}
        kept = {k: v for k, v in result["metrics"].items() if "predicted" not in k and not k.endswith("_c")}
        called = {"pilot": "warmup"}.get(result["arm"], result["arm"])
        path.write_text(json.dumps(result | {"metrics": kept, "arm": called}))
    for pilot in list((tmp_path / "old").glob("*/pilot")):
        pilot.rename(pilot.with_name("warmup"))
    path = tmp_path / "old" / "experiment.json"
    document = json.loads(path.read_text()) | {"schema": "difficult-examples/experiment/1", "band": "theory"}
    path.write_text(json.dumps({k: v for k, v in document.items() if k not in ADDED}))
    for path in (tmp_path / "old").glob("*/*/profile.json"):
        document = json.loads(path.read_text())
        for added in ("predicted_probe", "selector", "tau", "same_class", "reading", "overlap", "pairs"):
            del document[added]
        path.write_text(json.dumps({**document, "schema": "difficult-examples/profile/2"}))
    assert main(["--report", str(tmp_path / "old")]) == 0
    table = pd.read_csv(tmp_path / "old" / "results.csv")
    assert table.encoder_predicted_probe.isna().all()
    assert set(table.protocol) == {"lbfgs-c1"}
    assert "pilot" in set(table.arm)
    assert "warmup" not in set(table.arm)
    page = (tmp_path / "old" / "report.html").read_text()
    assert "2 labels per class, 2 draws, C = 1, the same draws for every row. kNN: 20 neighbours" in page
    assert "nan" not in (tmp_path / "old" / "report.html").read_text().partition("</style>")[2].partition("<img")[0]


@pytest.fixture(scope="module")
def without_data(tmp_path_factory):
    """The folder of a finished experiment whose images are gone, and the report's three files."""
    place = tmp_path_factory.mktemp("without_data")
    digits, data = TINY.data_set(), place / "digits.npz"
    parts = {"x_train": digits.x_train, "y_train": digits.y_train, "x_test": digits.x_test, "y_test": digits.y_test}
    np.savez(data, **{name: part.numpy().squeeze() for name, part in parts.items()})
    arms = ("baseline", "margin", "sample_removal", "mixed_removal")
    compare(replace(SMALL, base=replace(SMALL.base, data=f"npz:{data}"), arms=arms), place / "out")
    data.rename(place / "elsewhere.npz")
    return place / "out", {name: (place / "out" / name).read_bytes() for name in REPORT}


def test_a_report_has_the_sharper_bounds(without_data):
    out, files = without_data
    pilot = out / "omega-0.0" / "pilot"
    profile, plan = Profile.load(pilot / "profile.json"), Plan.load(pilot / "plan.json")
    labels = flipped_labels(plan.parameters["delta"])
    found = sharper_bounds(profile.graph("encoder", "block"), plan.parameters["dim"], labels)
    values = [format_number(value, ".4f") for value in (found.squared, found.plug_in, found.error)]
    values.insert(2, "yes" if found.bound > 1 else "no")
    page = files["report.html"].decode().replace("\n", "")
    assert (
        '<tr><td class="text">trained encoder</td><td class="text">block</td>'
        + "".join(f"<td>{value}</td>" for value in values)
        in page
    )


def test_a_report_needs_no_data(without_data, capsys):
    out, before = without_data
    assert b"no image is mixed" in before["report.html"]
    for name in before:
        (out / name).unlink()
    assert main(["--report", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[:-1]).startswith(json.loads(before["results.json"])["answer"])
    assert (lines[-1], max(map(len, lines[:-1])) <= 100) == (str(out / "report.html"), True)
    assert {name: (out / name).read_bytes() for name in REPORT} == before


def test_what_is_not_finished_is_not_reported(without_data, tmp_path, capsys):
    out, _ = without_data

    def refused(gone):
        copy = tmp_path / gone.replace("/", "-")
        shutil.copytree(out, copy)
        for path in (*REPORT, gone):
            (copy / path).unlink()
        assert main(["--report", str(copy)]) == 2
        assert not {path.name for path in copy.iterdir()} & set(REPORT)
        output, error = capsys.readouterr()
        assert (output, error.count("\n")) == ("", 1)
        return error

    assert "baseline at ω = 0.5 has 1 of 2 runs" in refused("omega-0.5/baseline-1/result.json")
    assert "omega-0.0/inapplicable.json is missing" in refused("omega-0.0/inapplicable.json")
    assert "cannot read" in refused("experiment.json")


def test_a_report_takes_no_settings(without_data, tmp_path, capsys):
    out, _ = without_data
    assert main(["--report", str(out), "--seeds", "3"]) == 2
    assert "--seeds and --report exclude each other" in capsys.readouterr().err
    assert main(["--report", str(out), "--out", str(tmp_path)]) == 2
    assert main(["--preset", "digits-demo"]) == 2
    assert "--out or --report is required" in capsys.readouterr().err


# --- command ---------------------------------------------------------------------------------------


def test_presets_are_valid_and_the_demo_lies_in_the_theorems_range():
    demo = PRESETS["digits-demo"]
    assert demo.seeds >= 3
    assert any(omega > 0 for omega in demo.omegas)
    assert 10 <= demo.base.dim < 10 + 10  # r+1 <= k < n_d+r+1 with n_d = 10 of 120 per class


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "npz:none.npz"], "cannot read none.npz"),
        (["--preset", "photos-cpu"], "--data is required"),
        (["--arms", "baseline,magic"], "arms = magic violates one of"),
        (["--arms", "margin"], "arms margin: baseline is missing, against which all others are compared"),
        (["--omegas", "0,x"], "--omegas 0,x: not numbers separated by commas"),
        (["--omegas", "2"], "omega = 2.0"),
        (["--seeds", "0"], "seeds = 0"),
        (["--jobs", "0"], "jobs = 0"),
        (["--labels-per-class", "121"], "labels_per_class = 121"),
        (["--dim", "1200"], "dim = 1200 violates dim < 1200"),
        (["--batch", "1201"], "batch = 1201"),
        (["--stem-stride", "3"], "stem_stride = 3"),
        (["--devices", "2"], "devices = 2 violates devices = 1 in a comparison (empirical.train takes several)"),
        (["--nodes", "2"], "devices = 1 violates a multiple of nodes = 2"),
        (["--accelerator", "abacus"], "--accelerator abacus: not one of"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--preset", "digits-demo", "--out", "out", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_miniature_of_the_main_job_on_photographs(tmp_path):
    if not (SHARED / "cifar10-train-0.npz").exists():
        pytest.skip(f"CIFAR-10 is not in {SHARED}")
    unpack = [sys.executable, str(SHARED / "unpack.py"), "cifar10", str(tmp_path / "cifar")]
    subprocess.run([*unpack, "--train", "200", "--test", "200"], check=True, stdout=subprocess.DEVNULL)
    arguments = ["--preset", "photos-cpu", "--data", f"folder:{tmp_path / 'cifar'}", "--arms", "baseline,combined"]
    arguments += ["--seeds", "2", "--width", "4", "--epochs", "1", "--batch", "100", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert {"baseline", "raw_pixels", "untrained", "pilot"} <= set(table.arm)
    assert (tmp_path / "out" / "report.html").exists()


def test_an_arm_that_leaves_too_few_images_is_not_applicable(tmp_path):
    experiment = replace(SMALL, base=replace(SMALL.base, batch=100), omegas=(0.5,), arms=("baseline", "mixed_removal"))
    page = compare(replace(experiment, seeds=1), tmp_path).read_text()
    assert "removal leaves 50 images, fewer than a batch" in page
    assert "one seed gives no interval" in page or "not applicable" in page


@pytest.mark.parametrize("redundancy", [0.0, 2.0])
def test_sas_leaves_out_the_least_similar_and_its_control_as_many(tmp_path, redundancy):
    from empirical.data.features import Features
    from empirical.difficulty.scores import sas_scores
    from empirical.encoders import extract
    from empirical.train.checkpoint import load_network

    arms = ("baseline", "sample_removal", "random_removal")
    experiment = replace(SMALL, arms=arms, seeds=1, omegas=(0.0,), scores="sas", redundancy=redundancy)
    compare(experiment, tmp_path)
    tasks = {task.settings.arm: task.settings for task in planned(experiment, tmp_path)[0]}
    settings, network = load_network(tmp_path / "omega-0.0" / "pilot" / "checkpoint.pt")
    images = settings.data_set()
    _, z = extract(network, images.x_train)  # unaugmented images, after the projector
    scores, labels = sas_scores(Features(z.numpy()), images.y_train.numpy(), redundancy), images.y_train.numpy()
    expected = [np.flatnonzero(labels == c)[scores[labels == c].argmin()] for c in range(10)]  # 1 of 10
    assert list(tasks["sample_removal"].drop) == sorted(expected)
    drawn = labels[list(tasks["random_removal"].drop)]
    assert sorted(drawn) == list(range(10))


def test_an_experiment_of_the_first_schema_is_read_and_does_not_go_on(tmp_path):
    claim(SMALL, tmp_path)
    path = tmp_path / "experiment.json"
    whole = path.read_text()
    document = {key: value for key, value in json.loads(whole).items() if key not in ADDED}
    path.write_text(json.dumps({**document, "band": "theory", "schema": "difficult-examples/experiment/1"}))
    assert load_experiment(tmp_path) == replace(SMALL, band="theory", protocol="lbfgs-c1", knn_k=20)
    with pytest.raises(ParameterError, match="schema of .* violates schema == difficult-examples/experiment/2"):
        claim(SMALL, tmp_path)
    path.write_text(whole)
    claim(SMALL, tmp_path)
    with pytest.raises(ParameterError, match="scores = sas violates scores = None of the experiment"):
        claim(replace(SMALL, scores="sas", redundancy=1.0), tmp_path)


def test_only_sas_has_a_redundancy():
    with pytest.raises(ParameterError, match="redundancy = 1 violates 0 unless scores = sas"):
        replace(SMALL, redundancy=1)


def test_flags_and_a_band_that_sets_itself(tmp_path):
    from empirical.data.features import Features
    from empirical.difficulty.scores import flag_shares, largest
    from empirical.encoders import extract
    from empirical.train.checkpoint import load_network

    arms = ("baseline", "pair_removal", "sample_removal", "random_removal", "combined_projector", "adnce")
    experiment = replace(SMALL, arms=arms, seeds=1, omegas=(0.0,), scores="flags", band="auto")
    report = compare(experiment, tmp_path)
    assert "The band holds cosines" in report.read_text()
    tasks = {task.settings.arm: task.settings for task in planned(experiment, tmp_path)[0]}
    pilot = tmp_path / "omega-0.0" / "pilot"
    settings, network = load_network(pilot / "checkpoint.pt")
    plan = Plan.load(pilot / "plan.json")
    h, _ = extract(network, settings.data_set().x_train)
    shares = flag_shares(Features(h.numpy()), plan.pos_high, plan.pos_low, settings.batch)
    assert list(tasks["sample_removal"].drop) == np.flatnonzero(largest(shares, 0.1)).tolist()  # 1 of 10
    assert len(tasks["random_removal"].drop) == len(tasks["sample_removal"].drop)
    assert tasks["pair_removal"].remedy.select == "auto"
    assert tasks["adnce"].loss == "adnce"
    assert tasks["combined_projector"].remedy.space == "projector"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arms": ("baseline", "paper_margin")},
            "arm paper_margin on data digits: the paper states sigma and percentiles for",
        ),
        ({"arms": ("baseline", "temperature"), "rho": 2.0}, "rho = 2.0 violates 0 < rho <= 1"),
        ({"arms": ("baseline", "paper_removal"), "band": "auto"}, "band = auto violates percentiles"),
    ],
)
def test_arms_that_cannot_be_trained_are_refused_before_anything_is(changes, message):
    with pytest.raises(ParameterError, match=message):
        replace(SMALL, **changes)


def test_classes_of_copies_are_refused_before_anything_is_written(tmp_path):
    x = np.repeat(np.arange(4, dtype=np.uint8), 10)[:, None, None] * np.full((40, 8, 8), 60, dtype=np.uint8)
    y = np.arange(40) // 10
    x[y == 3] += np.arange(10, dtype=np.uint8)[:, None, None]
    np.savez(tmp_path / "copies.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    base = replace(SMALL.base, data=f"npz:{tmp_path / 'copies.npz'}", train=None, test=None, batch=8)
    with pytest.raises(ParameterError, match=r"labels = 3 classes with a single sample or copies of one \(0, 1, 2\)"):
        compare(replace(SMALL, base=base), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_papers_arms_take_what_is_given():
    given = replace(SMALL, arms=("baseline", "paper_combined"), band=".1,.2", sigma=0.1, rho=0.5)
    assert given.given == Given(".1,.2", 0.1, 0.5)
    assert replace(SMALL, arms=("baseline", "paper_combined"), stated="cifar10").given.stated == "cifar10"
