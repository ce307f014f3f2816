"""Reports: one HTML file about a run, or about several runs side by side.

What is measured on the data is in `examination` and `paired`, charts are in `charts`, and the pages
in `templates`. A report needs no network and, except for the playback, no JavaScript.
"""

from bothways.report.write import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
