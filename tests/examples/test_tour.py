"""The notebook runs from another folder, and its numbers are what its text says."""

import nbformat
from nbclient import NotebookClient

from tests.pages import ROOT


def test_the_tour_runs_from_another_folder(tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("tour")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the notebook's own shows pictures
    notebook = nbformat.read(ROOT / "examples/tour.ipynb", as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None  # committed without
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(elsewhere)}}).execute()
    codes = [cell for cell in done.cells if cell.cell_type == "code"]
    [folder] = elsewhere.glob("adaloss-tour-*")
    assert (folder / "figures/plots/tour.pdf").is_file() and "45 runs in" in str(codes[-2].outputs)
    values = codes[2].outputs[0]["data"]["text/plain"]
    assert "adagrad_norm" in values and len(values.splitlines()) == 7  # five b0 under two lines of heading
    losses = [float(line.split()[4].rstrip(",")) for line in codes[-1].outputs[0]["text"].splitlines()]
    assert len(losses) == 4 and max(losses) < 1e-6
    assert sum("image/png" in output.get("data", {}) for cell in codes for output in cell.outputs) == 2
