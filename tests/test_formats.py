"""docs/formats.md says what the declarations say."""

import importlib.util

import pytest

from msat.observables.registry import OBSERVABLES
from tests.conftest import ROOT

PAGE = ROOT / "docs/formats.md"
_SPEC = importlib.util.spec_from_file_location("tables", ROOT / "docs/tables.py")
formats = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(formats)


def test_the_page_has_not_drifted():
    text = PAGE.read_text()
    assert formats.with_tables(text) == text, "make docs"
    for name in formats.TABLES:
        assert text.count(f"<!-- generated: {name} -->") == 1


def test_a_page_is_rewritten_whole(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: observables -->\nold\n<!-- end -->\nafter\n")
    formats.main(page)
    text = page.read_text()
    assert text.startswith("before\n<!-- generated: observables -->\n\n| observable |")
    assert text.endswith("|\n\n<!-- end -->\nafter\n")
    assert "old" not in text
    for observable in OBSERVABLES:
        assert f"| `{observable.name}` |" in text
    formats.main(page)
    assert page.read_text() == text
    assert list(tmp_path.iterdir()) == [page]
    page.write_text("<!-- generated: nonsense -->\n<!-- end -->\n")
    with pytest.raises(KeyError, match="nonsense"):
        formats.main(page)


def test_bars_in_a_formula_do_not_end_a_cell():
    rows = [line for line in formats.TABLES["theory.nc"]().splitlines() if "readout_norm`" in line]
    assert r"<\|w\|^2>" in rows[0]
