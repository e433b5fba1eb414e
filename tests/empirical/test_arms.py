import json
import math
from dataclasses import asdict, replace

import pytest

from empirical.arms import ARMS, Given, NotApplicable, PairRemedy, pair_remedy, taken
from empirical.compare.presets import PRESETS
from empirical.paper import STATED
from empirical.train.__main__ import main
from tests.theory.graphs import REFERENCE
from theory.checks import ParameterError
from theory.plan import plan_from_parameters
from theory.sizes import Sizes

COMBINED = {"combined", "combined_projector", "combined_auto", "combined_random"}
NT_XENT, SPECTRAL = Sizes(0.2, 0.7, 0.1, 0.8), Sizes(0.02, 0.9, 0.01, 0.95)
PLAN = replace(plan_from_parameters(REFERENCE, 4, 0.01), theorem=SPECTRAL, perfect=NT_XENT)


def test_arms_take_their_values_from_the_plan():
    assert pair_remedy("baseline", None) is None
    margin, temperature = pair_remedy("margin", PLAN), pair_remedy("temperature", PLAN)
    assert (margin.sigma, margin.rho) == (0.2, 1.0)
    assert (temperature.sigma, temperature.rho) == (0.0, 0.7)
    combined = pair_remedy("combined", PLAN, Given("wide"))
    assert (combined.sigma, combined.rho, combined.pos_low) == (0.1, 0.8, 1.0)
    assert pair_remedy("pair_removal", PLAN).remove
    assert pair_remedy("sample_removal", PLAN) is None


def test_arms_take_the_sizes_of_the_loss():
    """The theorems' for the spectral loss; else NT-Xent's, with the measured selector where there are some."""
    plan = replace(PLAN, optimum=Sizes(0.4, None, 0.3, 0.6))
    arms = ("margin", "temperature", "combined")
    for loss in ("spectral", "spectral_opposite"):
        found = [pair_remedy(arm, plan, loss=loss) for arm in arms]
        assert [(remedy.sigma, remedy.rho) for remedy in found] == [(0.02, 1.0), (0.0, 0.9), (0.01, 0.95)]
    for loss in ("nt_xent", "debiased", "hcl", "adnce"):
        found = [pair_remedy(arm, plan, loss=loss) for arm in arms]
        assert [(remedy.sigma, remedy.rho) for remedy in found] == [(0.4, 1.0), (0.0, 0.7), (0.3, 0.6)]


@pytest.mark.parametrize("loss", ["nt_xent", "spectral"])
@pytest.mark.parametrize(
    ("entry", "arms"),
    [
        ("margin_sigma", {"margin", "margin_all"}),
        ("temperature_rho", {"temperature", "temperature_all"}),
        ("combined_sigma", COMBINED),
        ("removal_fraction", {"sample_removal", "random_removal"}),
    ],
)
def test_null_entries_make_their_arms_inapplicable(entry, arms, loss):
    source = "theorem" if loss == "spectral" else "perfect"
    if entry == "removal_fraction":
        plan = replace(PLAN, removal_fraction=None, reasons={entry: "because"})
    else:
        sizes = replace(getattr(PLAN, source), **{entry: None})
        plan = replace(PLAN, **{source: sizes}, reasons={f"{source}.{entry}": "because"})
    for arm in ARMS:
        given = Given(".1,.2", 0.1, 0.9) if ARMS[arm].as_printed else Given()
        if arm in arms:
            with pytest.raises(NotApplicable, match="because"):
                pair_remedy(arm, plan, given, loss)
        else:
            pair_remedy(arm, plan, given, loss)


def test_controls_select_otherwise_with_the_same_values():
    combined = pair_remedy("combined", PLAN)
    assert pair_remedy("combined_projector", PLAN) == replace(combined, space="projector")
    assert pair_remedy("combined_random", PLAN) == replace(combined, select="random")
    sets_itself = replace(combined, pos_high=0, pos_low=0, select="auto")
    assert pair_remedy("combined_auto", PLAN) == sets_itself
    assert pair_remedy("combined", PLAN, Given("auto")) == sets_itself
    assert pair_remedy("margin", None, Given("auto", 0.1)) == PairRemedy(0.1, select="auto")
    assert pair_remedy("margin_all", PLAN, Given("auto")).select == "all"


def test_controls_of_the_papers_arms_select_otherwise_at_its_constants():
    for form in ("margin", "temperature", "combined", "removal"):
        remedy = pair_remedy(f"paper_{form}", None, data="cifar100")
        assert pair_remedy(f"paper_{form}_random", None, data="cifar100") == replace(remedy, select="random")
    everyone = {"pos_high": 0.0, "pos_low": 0.0, "select": "all"}
    for form in ("margin", "temperature"):
        remedy = pair_remedy(f"paper_{form}", None, data="cifar10")
        assert pair_remedy(f"paper_{form}_all", None, data="cifar10") == replace(remedy, **everyone)
        assert pair_remedy(f"paper_{form}_all", None, Given(stated="cifar10")) == replace(remedy, **everyone)
        assert taken(f"paper_{form}_all") == ({"margin": "sigma", "temperature": "rho"}[form], "stated")
    combined = pair_remedy("paper_combined", None, data="cifar10")
    assert pair_remedy("paper_combined_projector", None, data="cifar10") == replace(combined, space="projector")


def test_the_oracle_takes_no_plan_and_no_band():
    assert pair_remedy("oracle", None) == PairRemedy(remove=True, select="label")
    assert taken("oracle") == ()
    assert not ARMS["oracle"].planned


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pair_remedy("combind", PLAN), "did you mean combined?"),
        (lambda: Given("papr"), "did you mean paper?"),
        (lambda: Given("HIGH,LOW"), "band = HIGH,LOW violates one of theory"),
        (lambda: Given(ranking="rows"), "did you mean row?"),
        (lambda: PairRemedy(select="ranks"), "did you mean rank?"),
        (lambda: PairRemedy(space="projektor"), "did you mean projector?"),
    ],
)
def test_unknown_names_suggest_the_nearest(call, message):
    with pytest.raises(ParameterError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sigma", -0.1), ("sigma", math.inf), ("rho", 0), ("rho", 1.5), ("pos_high", -0.1), ("pos_low", 0.2)],
)
def test_a_remedys_numbers_are_checked(field, value):
    with pytest.raises(ParameterError, match=f"^{field} = {value} violates "):
        replace(PairRemedy(pos_high=0.3, pos_low=0.4), **{field: value})


# --- the paper's arms -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", STATED)
def test_the_papers_arms_take_what_it_states_for_the_data(data):
    found = STATED[data]
    for arm in ("paper_margin", "paper_temperature", "paper_combined", "paper_removal"):
        remedy = pair_remedy(arm, None, data=f"{data}:somewhere")
        assert pair_remedy(arm, None, data=f"npz:photos/{data}.npz") == remedy
        assert pair_remedy(arm, None, data=f"folder:photos/{data}") == remedy
        assert remedy.as_printed
        assert remedy.sigma == (found.sigma if ARMS[arm].sigma else 0)
        assert remedy.rho == (found.rho if ARMS[arm].rho else 1)
        assert remedy.remove == (arm == "paper_removal")
        assert (remedy.pos_high, remedy.pos_low) == (found.pos_high, found.pos_low)


def test_the_papers_numbers_for_cifar10():
    remedy = pair_remedy("paper_combined", None, data="cifar10")
    assert remedy == PairRemedy(0.03, 0.6, pos_high=0.15, pos_low=0.22, as_printed=True)


def test_what_is_given_goes_before_the_paper_and_the_plan():
    given = Given(".1,.6", 0.2, 0.9, "row")
    for arm, data, printed in (("paper_combined", "cifar10", True), ("combined", "digits", False)):
        expected = PairRemedy(0.2, 0.9, pos_high=0.1, pos_low=0.6, select="row", as_printed=printed)
        assert pair_remedy(arm, None, given, data=data) == expected
    assert pair_remedy("combined", PLAN, Given(sigma=0.2)).rho == pair_remedy("combined", PLAN).rho
    assert pair_remedy("margin", PLAN, Given("paper"), data="cifar100").pos_low == 0.5
    ours = pair_remedy("paper_margin", PLAN, Given("theory"), data="cifar10")
    assert (ours.pos_high, ours.pos_low) == (PLAN.pos_high, PLAN.pos_low)


@pytest.mark.parametrize(
    ("arm", "given", "wanted"),
    [
        (
            "paper_margin",
            Given(),
            "the paper states sigma and percentiles for cifar10, cifar100, .* only; "
            "give --sigma and two percentiles, --band HIGH,LOW, or --stated",
        ),
        ("paper_temperature", Given(band=".1,.2"), "states rho for .*; give --rho, or --stated"),
        ("paper_combined", Given(), "give --sigma and --rho and two percentiles, --band HIGH,LOW"),
        (
            "paper_combined",
            Given(sigma=0.1, rho=0.6),
            "percentiles for .*; give two percentiles, --band",
        ),
        ("paper_combined", Given(band="paper"), "give --sigma and --rho and two percentiles, --band HIGH,LOW"),
        ("paper_removal", Given(), "give two percentiles, --band HIGH,LOW"),
        ("margin", Given("paper", 0.1), "give two percentiles"),
        ("margin", Given(sigma=0.1), "needs a plan"),
    ],
)
def test_on_other_data_an_arm_says_what_it_needs(arm, given, wanted):
    with pytest.raises(ParameterError, match=wanted):
        pair_remedy(arm, None, given, data="npz:photos.npz")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Given(sigma=-0.1), "sigma = -0.1 violates 0 <= sigma <= 2"),
        (lambda: Given(rho=0), "rho = 0 violates rho > 0"),
        (lambda: Given(".3,.2"), "pos_low = 0.2 violates pos_high = 0.3 <= pos_low <= 1"),
        (lambda: Given(".3,x"), "band = .3,x violates two shares"),
        (lambda: pair_remedy("temperature", PLAN, Given(rho=2)), "rho = 2 violates 0 < rho <= 1"),
        (lambda: pair_remedy("paper_removal", PLAN, Given("auto"), data="cifar10"), "band = auto violates percentiles"),
        (lambda: pair_remedy("margin", PLAN, Given("auto", ranking="row")), "ranking = row violates batch"),
        (lambda: Given(sigma=3), "sigma = 3 violates 0 <= sigma <= 2"),
    ],
)
def test_given_values_are_checked(call, message):
    with pytest.raises(ParameterError, match=f"^{message}"):
        call()


def test_a_temperature_that_weakens_the_repulsion_warns():
    with pytest.warns(UserWarning, match=r"rho = 1e\+09 is above 1"):
        remedy = pair_remedy("paper_temperature", None, Given(rho=1e9), data="cifar100")
    assert remedy.rho == 1e9


def test_glofnd_needs_neither_plan_nor_band():
    expected = PairRemedy(remove=True, select="threshold", space="projector", rescale=True)
    assert pair_remedy("glofnd", None) == expected


SMALL = ["--train", "100", "--test", "50", "--encoder", "convnet", "--width", "4", "--dim", "8", "--batch", "50"]


def test_the_papers_probe_is_that_of_the_data_set_that_is_named(tmp_path, capsys):
    named = ["--stated", "cifar100", "--protocol", "paper", "--epochs", "1"]
    for number, options in enumerate(([], ["--arm", "paper_removal"])):
        assert main([*SMALL, *named, *options, "--out", str(tmp_path / str(number))]) == 0
        assert "Zhang et al.'s for cifar100" in capsys.readouterr().out
    experiment = replace(PRESETS["digits-demo"], protocol="paper", stated="stl10", labels_per_class=None)
    assert experiment.protocol_of(experiment.base).steps == (256, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arm", "paper_margin"], "give --sigma and two percentiles, --band HIGH,LOW, or --stated"),
        (["--arm", "paper_margin", "--sigma", ".1"], "two percentiles, --band HIGH,LOW"),
        (["--arm", "paper_margin", "--sigma", "-1"], "sigma = -1.0 violates 0 <= sigma <= 2"),
        (["--arm", "paper_temperature", "--rho", "0"], "rho = 0.0 violates rho > 0"),
        (["--arm", "paper_removal", "--band", ".3,.1"], "pos_low = 0.1 violates pos_high = 0.3 <= pos_low <= 1"),
        (["--sigma", ".1"], "--sigma makes no difference to --arm baseline"),
        (["--arm", "paper_removal", "--stated", "cifar10", "--rho", ".6"], "--rho makes no difference"),
        (["--arm", "glofnd", "--band", ".1,.2"], "--band makes no difference to --arm glofnd"),
        (["--arm", "combined_random", "--ranking", "row"], "--ranking makes no difference"),
        (["--arm", "oracle", "--band", ".1,.2"], "--band makes no difference to --arm oracle"),
        (["--arm", "paper_removal_random", "--band", "auto"], "band = auto violates percentiles"),
        (["--arm", "paper_temperature_all"], "the paper states rho for"),
        (["--arm", "glofnd", "--glofnd-start", "1"], "glofnd_start = 1.0 violates 0 <= glofnd_start < 1"),
        (["--arm", "mochi", "--mochi-share", "1"], "mochi_share = 1.0 violates 0 < mochi_share <= 0.5"),
    ],
)
def test_the_command_refuses_in_one_line(options, message, tmp_path, capsys):
    assert main([*SMALL, "--epochs", "1", *options, "--out", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "run").exists()


def test_the_command_trains_the_papers_arm_at_its_constants(tmp_path, capsys):
    options = ["--arm", "paper_temperature", "--stated", "cifar10", "--rho", "1e9", "--ranking", "row"]
    with pytest.warns(UserWarning, match="is above 1"):
        assert main([*SMALL, "--epochs", "1", *options, "--out", str(tmp_path)]) == 0
    remedy = json.loads((tmp_path / "settings.json").read_text())["remedy"]
    assert remedy == asdict(PairRemedy(rho=1e9, pos_high=0.15, pos_low=0.22, select="row", as_printed=True))
