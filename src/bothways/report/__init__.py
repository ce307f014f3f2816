"""Reports: one HTML file about a run, or about several runs side by side.

Charts are in `charts` and `drawings`, paired tests in `paired`, the pages in `templates`. What a
model answers on its data belongs to `bothways.pages.examination`. A report needs no network and,
except for the playback, no JavaScript.
"""

from bothways.report.write import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
