from pathlib import Path

from empirical.arms import ARMS
from empirical.losses import LOSSES
from empirical.methods import rows, table
from empirical.methods.__main__ import main
from empirical.train.settings import FRAMEWORKS
from tests.empirical.train.test_devices import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()


def test_the_page_holds_the_table_of_the_code(capsys):
    assert table() in PAGE
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == table()


def test_every_arm_has_a_row_that_tells_what_it_does():
    assert [row[0].strip("`") for row in rows()] == list(ARMS)
    combined = dict(zip(ARMS, rows(), strict=True))["combined_projector"]
    assert "margin" in combined[2]
    assert "temperature" in combined[2]
    assert "projector" in combined[3]


def test_every_framework_is_trained_with_every_loss_and_every_arm_on_one_and_two_processes():
    assert {(framework, loss) for framework, loss, _ in METHODS} == {(f, loss) for f in FRAMEWORKS for loss in LOSSES}
    assert {(framework, arm) for framework, _, arm in METHODS} == {(f, arm) for f in FRAMEWORKS for arm in ARMS}
    assert "CI trains each framework with every loss and with every arm, on one and on two processes" in PAGE
