"""The notebooks are complete, small and free of own formulas; the script that executes them reports failures."""

import ast
import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
TransformerManager = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MODEL = {"alpha", "beta", "gamma", "delta"}  # what a formula of the theory would multiply or divide


@pytest.fixture(scope="module")
def execute():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    assert request.param.stat().st_size < 500_000
    found = nbformat.read(request.param, nbformat.NO_CONVERT)
    nbformat.validate(found)
    assert found.nbformat == 4
    return found


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_title_comes_first(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def test_every_cell_was_executed_in_order_and_without_complaint(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text


def test_the_site_shows_whole_lines_of_code(notebook):
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 95] == []  # notebooks/ruff.toml wraps at 92, but for strings


def test_formulas_come_from_the_packages(notebook):
    # IPython's own translation of magics such as %matplotlib
    cells = [TransformerManager().transform_cell(cell.source) for cell in code_cells(notebook)]
    tree = ast.parse("\n".join(cells))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert any(module.split(".")[0] in ("theory", "empirical") for module in modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
            assert not MODEL & operands(node), ast.unparse(node)


def operands(node):
    """Names and attributes that an arithmetic expression combines itself, not in a function that it calls."""
    if isinstance(node, ast.Call):
        return set()
    own = {node.id} if isinstance(node, ast.Name) else {node.attr} if isinstance(node, ast.Attribute) else set()
    return own.union(*(operands(child) for child in ast.iter_child_nodes(node)))


def test_the_formula_test_sees_formulas():
    def found(text):
        return MODEL & operands(ast.parse(text, mode="eval").body)

    assert found("(1 - p.alpha) / c2")
    assert not found("len(f) * tilted(f, p.alpha)")


# --- execute.py ------------------------------------------------------------------------------------


def write(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_execution_writes_outputs_and_leaves_out_what_varies(execute, tmp_path, capsys):
    path = tmp_path / "tiny.ipynb"
    write(path, "import sys; print(sys.executable)\nprint('two')", "import os; print(os.getcwd()); 1 + 1")
    assert execute.main([], tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 notebook executed"
    first, second = nbformat.read(path, nbformat.NO_CONVERT).cells
    assert first.outputs[0].text.splitlines() == [execute.sys.executable, "two"]
    assert second.outputs[0].text.strip() == str(tmp_path)
    assert second.outputs[1].data == {"text/plain": "2"}
    assert first.metadata == {}
    assert nbformat.read(path, nbformat.NO_CONVERT).metadata == execute.METADATA
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.ipynb"]


def test_a_failure_is_one_line_and_changes_nothing(execute, tmp_path, capsys):
    path = tmp_path / "broken.ipynb"
    write(path, "x = 1", "x / 0")
    before = path.read_bytes()
    assert execute.main(["broken"], tmp_path) == 1
    captured = capsys.readouterr()
    assert captured.err == "broken.ipynb, code cell 2: ZeroDivisionError: division by zero\n"
    assert "executed" not in captured.out
    assert path.read_bytes() == before


def test_a_failure_in_what_sliders_draw_counts(execute, tmp_path, capsys):
    pytest.importorskip("ipywidgets")
    write(tmp_path / "sliders.ipynb", "from ipywidgets import interact\n_ = interact(lambda x: 1 / x, x=0)")
    assert execute.main([], tmp_path) == 1
    assert capsys.readouterr().err == "sliders.ipynb, sliders: ZeroDivisionError: division by zero\n"


def test_unknown_names_and_broken_files(execute, tmp_path, capsys):
    write(tmp_path / "tiny.ipynb", "1")
    assert execute.main(["tinny"], tmp_path) == 2
    message = "error: notebook = tinny violates one of tiny (did you mean tiny?)\n"
    assert capsys.readouterr().err == message
    (tmp_path / "tiny.ipynb").write_text("nothing")
    assert execute.main([], tmp_path) == 1
    assert capsys.readouterr().err.startswith("tiny.ipynb, no notebook: ")


def test_widgets_leave_a_sentence_and_objects_no_address(execute):
    view = {execute.WIDGET: {"model_id": "1"}, "text/plain": "interactive(...)"}
    table = {"text/plain": "<Styler at 0x7eff18>"}
    outputs = [nbformat.v4.new_output("display_data", data=data) for data in (view, table)]
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": "x" * 1000}})
    execute.clean(notebook)
    assert [output.data["text/plain"] for output in cell.outputs] == [execute.NO_WIDGET, "<Styler>"]
    assert notebook.metadata == execute.METADATA
