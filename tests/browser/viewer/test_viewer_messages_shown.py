"""The viewer over the widget's messages, with real kernels: where no server of ours answers, and where the server has not the array."""

import re

import nbformat
import numpy as np
import pytest
from jupyter_process import jupyter
from playwright.sync_api import expect
from sample_store import DATASET
from viewer_canvas import canvas_of, check_canvas, fresh, shows
from viewer_notebook import open_notebook, printed, run_cell, write_notebook

HINT = "Shown through the kernel, which is slower"
ARRAY = """import numpy as np, cohortlab as cl
values = np.zeros((8, 40, 40), np.int16)
values[:, 10:30, 10:30] = 100
a = cl.view(values, window=(50, 100), plane="z", index=2)
a"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory, apart):
    """JupyterLab without our server extension, as an editor's or another institution's."""
    off = "--ServerApp.jpserver_extensions=cohortlab.viewer=False"
    with jupyter("jupyterlab", tmp_path_factory.mktemp("plain"), apart.environment(), arguments=[off]) as running:
        yield running


def test_without_the_server_extension_the_kernel_sends_the_pixels(careless, plain, apart):
    page = careless.new_page()
    page.goto(f"{plain.url}api/status?token={plain.token}")
    assert page.request.get(f"{plain.url}cohortlab/api/datasets").status == 404
    write_notebook(
        plain.home / "far.ipynb",
        f"import cohortlab as cl\nv = cl.view('{DATASET}/{apart.ct}', label_image='{DATASET}/{apart.seg}')\nv",
        "print(v.plane, v.index)",
    )
    page = open_notebook(careless, plain, "far.ipynb")
    run_cell(page, 0)
    shows(page, "axial", 6)
    expect(page.locator(".viewer .hint")).to_contain_text(HINT)
    page.get_by_role("checkbox", name="Show Lesion").wait_for()
    fresh(page, "n")
    check_canvas(page, "axial", 6)
    page.keyboard.press("ArrowDown")
    shows(page, "axial", 7)
    check_canvas(page, "axial", 7)
    page.keyboard.press("c")
    shows(page, "coronal", 48)
    check_canvas(page, "coronal", 48)
    assert printed(page, 1) == "coronal 48"


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """A notebook of the session, opened: one page and one kernel for the tests below."""
    names = (f"published/{lab.single['published']}", f"{DATASET}/{lab.sample.ct}")
    away = "import os\ndel os.environ['COHORTLAB_ARRAYS']"  # as of a kernel on another machine
    write_notebook(lab.home / "mixed.ipynb", away, ARRAY, *(f"import cohortlab as cl\ncl.view('{name}')" for name in names))
    context = browser.new_context(viewport={"width": 1200, "height": 800}, storage_state=lab.state)
    context.set_default_timeout(60_000)
    yield open_notebook(context, lab, "mixed.ipynb")
    context.close()


def test_an_array_that_the_server_has_not_comes_by_message(notebook):
    page = notebook
    for cell in (0, 1):
        run_cell(page, cell)
    shows(page, "z", 2)
    expect(page.locator(".viewer .hint")).to_contain_text(HINT)
    fresh(page, "n")
    found = canvas_of(page)[..., 0]
    bright = found > 200
    # half of each side of the square is bright
    assert abs(bright.any(axis=0).sum() / min(found.shape) - 0.5) < 0.02
    assert abs(bright.any(axis=1).sum() / min(found.shape) - 0.5) < 0.02
    assert not np.any((found > 10) & ~bright)


def test_a_saved_notebook_keeps_a_picture_of_public_data_and_of_no_other(notebook, lab):
    page = notebook
    for number in (2, 3):
        run_cell(page, number)
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))
        cell.locator(".viewer").wait_for()
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    first, second = (cell.outputs[0].data for cell in nbformat.read(lab.home / "mixed.ipynb", as_version=4).cells[2:])
    assert "image/png" in first
    assert not [kind for kind in second if kind.startswith("image/")]
