from pathlib import Path

from empirical.arms import ARMS
from empirical.losses import LOSSES
from empirical.methods import main, rows, table
from empirical.settings import FRAMEWORKS
from tests.empirical.test_devices import METHODS, REMEDIES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_holds_the_table_of_the_code(capsys):
    assert table() in (DOCS / "methods.md").read_text()
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == table()


def test_every_arm_has_a_row_that_tells_what_it_does():
    assert [row[0].strip("`") for row in rows()] == list(ARMS)
    combined = dict(zip(ARMS, rows(), strict=True))["combined_projector"]
    assert "margin" in combined[2]
    assert "temperature" in combined[2]
    assert "projector" in combined[3]


def test_every_loss_and_every_kind_of_selection_is_trained_on_one_and_two_processes():
    assert {(framework, loss) for framework, loss, _ in METHODS} == {(f, loss) for f in FRAMEWORKS for loss in LOSSES}
    trained = {(r.select, r.space) for framework, _, name in METHODS if (r := REMEDIES[name]) and framework == "moco"}
    assert trained >= {(arm.select, arm.space) for arm in ARMS.values() if arm.selects}
