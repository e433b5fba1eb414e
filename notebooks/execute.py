"""Execute notebooks, write their outputs in place: ``python notebooks/execute.py [NAME ...]``.

Every notebook runs in a fresh kernel of the interpreter that runs this script, in the folder of
the notebook, in the order of the names. What differs between machines and runs but says nothing is
left out of the file, so that executing it again gives a small diff. A notebook that fails stays as
it was.
"""

from __future__ import annotations

import math
import re
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError
from traitlets import Type

from theory.checks import require_known
from theory.command import Parser, run
from theory.files import write_text

HERE = Path(__file__).parent
TIMEOUT = 600  # seconds a cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
    },
}
WIDGET = "application/vnd.jupyter.widget-view+json"
NO_WIDGET = "The sliders appear here when the notebook runs."
KERNEL_OPTIONS = [
    "--log-level=ERROR",
    # Without Matplotlib's version in every picture.
    "--InlineBackend.print_figure_kwargs="
    '{"bbox_inches": "tight", "metadata": {"Software": None}}',
]


class PatientChannel(AsyncZMQSocketChannel):
    """A channel that looks again every second, for on a busy machine a message can come without waking its reader."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        end = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            try:
                return await super().get_msg(max(0, min(1, end - time.monotonic())))
            except Empty:
                if time.monotonic() >= end:
                    raise


class PatientClient(AsyncKernelClient):
    """A client of a kernel with such channels."""

    shell_channel_class = Type(PatientChannel)
    iopub_channel_class = Type(PatientChannel)


def execute(path: Path) -> str | None:
    """Run one notebook and write it back.

    Returns
    -------
    str or None
        The number of the code cell that failed, with the error; None if all went well.
    """
    try:
        notebook = nbformat.read(path, nbformat.NO_CONVERT)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        return f"no notebook: {str(error).splitlines()[0]}"
    reached = 0

    def count(**_: object) -> None:
        nonlocal reached
        reached += 1

    # An empty list of folders leaves the native kernel: this interpreter's, whatever else is installed.
    kernel = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        client_factory=PatientClient,
    )
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=TIMEOUT,
        extra_arguments=KERNEL_OPTIONS,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        on_cell_execute=count,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return f"code cell {reached}: {error.ename}: {' '.join(error.evalue.split())}"
    except (
        CellControlSignal,
        RuntimeError,
    ) as error:  # too long a cell, a kernel that died or did not start
        return f"code cell {reached}: {str(error).splitlines()[0]}"
    for widget in (
        client.widget_state.values()
    ):  # an error in what sliders draw is shown beside them only
        for output in widget.get("outputs", ()):
            if output["output_type"] == "error":
                return f"sliders: {output['ename']}: {output['evalue']}"
    clean(notebook)
    nbformat.validate(notebook)
    write_text(path, nbformat.writes(notebook) + "\n")
    return None


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave out what differs from run to run: versions, times, addresses, the state and the names of widgets."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key == "tags"}
        )
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET in data:
                output.data = nbformat.from_dict({"text/plain": NO_WIDGET})
            elif "text/plain" in data:
                data["text/plain"] = re.sub(" at 0x[0-9a-f]+", "", data["text/plain"])


def joined(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs with consecutive printed pieces in one: how often a kernel flushes is chance."""
    result: list[nbformat.NotebookNode] = []
    for output in outputs:
        before = result[-1] if result else {}
        if (
            output.output_type == "stream" == before.get("output_type")
            and output.name == before["name"]
        ):
            before["text"] += output.text
        else:
            result.append(output)
    return result


def main(argv: Sequence[str] | None = None, folder: Path = HERE) -> int:
    """Entry point: exit code 1 if a notebook fails, 2 for an unknown name."""
    failed = False
    parser = Parser("python notebooks/execute.py", description=__doc__)
    parser.add_argument(
        "notebook", nargs="*", metavar="NAME", help="such as 02_error_bounds (all)"
    )

    def command(args: Namespace) -> None:
        nonlocal failed
        known = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
        names = [Path(name).stem for name in args.notebook]
        for name in names:
            require_known("notebook", name, known)
        chosen = [path for name, path in known.items() if not names or name in names]
        for path in chosen:
            start = time.perf_counter()
            failure = execute(path)
            if failure:
                failed = True
                print(f"{path.name}, {failure}", file=sys.stderr)
                return
            print(
                f"{path.name:<28}{time.perf_counter() - start:6.1f} s{path.stat().st_size / 1000:8.0f} kB",
                flush=True,
            )
        print(f"{len(chosen)} notebook{'s' * (len(chosen) != 1)} executed")

    return run(parser, command, argv) or int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
