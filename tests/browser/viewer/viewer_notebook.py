"""Notebooks in JupyterLab, as a hand drives them."""

import re
from pathlib import Path

import nbformat
from jupyter_process import Jupyter
from playwright.sync_api import BrowserContext, Page, expect


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, path)


def open_notebook(context: BrowserContext, lab: Jupyter, name: str) -> Page:
    """Open it in a context that is signed in; its kernel is ready."""
    page = context.new_page()
    page.goto(f"{lab.url}lab/tree/{name}?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for()
    return page


def run_cell(page: Page, number: int) -> None:
    """Run a cell, without waiting for it."""
    page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def printed(page: Page, number: int) -> str:
    """Run a cell and give what it printed."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    before = cell.locator(".jp-InputPrompt").inner_text()
    run_cell(page, number)
    expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text(before)
    return cell.locator(".jp-OutputArea-output").inner_text().strip()
