"""Reports of real runs, as HTML."""

import json
import re
import shutil
from html.parser import HTMLParser
from typing import ClassVar

import numpy as np
import pytest

from bothways.data.dataset import Dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import Sequences
from bothways.errors import CheckpointError, ConfigError, DataError
from bothways.report import write_comparison, write_report
from bothways.report.write import _json_in_html
from bothways.training.history import read_epochs
from bothways.training.run import train

SETTINGS = {"epochs": 8, "hidden_size": 8, "validation_fraction": 0.2, "batch_size": 8}
NASTY = "</script><b>&\"'$x_1$"


def write_table(path, *, target="sequence", count=60, prefix="s", seed=0):
    rng = np.random.default_rng(seed)
    rows = ["id,t,speed,turn,label"]
    for n in range(count):
        label = n % 3
        names = ["walk", "run", NASTY]
        for t in range(int(rng.integers(5, 25))):
            x = np.sin(t / (1 + label)) + rng.normal(0, 0.3)
            name = names[label if target == "sequence" else (label + t // 8) % 3]
            quoted = '"' + name.replace('"', '""') + '"'
            rows.append(f"{prefix}{n},{t},{x:.3f},{label + rng.normal():.3f},{quoted}")
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


def run_on(folder, name, target="sequence", **settings):
    source = write_table(folder / f"{target}.csv", target=target)
    options = DataOptions(test_fraction=0.3, target=target)
    settings = {**SETTINGS, **settings}
    return train(str(source), options=options, out=folder / name, **settings)


@pytest.fixture(scope="module")
def run(folder):
    return run_on(folder, "run", calibrate=True)


@pytest.fixture(scope="module")
def step_run(folder):
    return run_on(folder, "steps", "step")


class Page(HTMLParser):
    """A page's tags, ids, text and addresses; raises an error if tags are not closed."""

    VOID: ClassVar = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self, path):
        super().__init__()
        self.open, self.headings, self.addresses, self.scripts, self.text = [], [], [], [], ""
        self.feed(path.read_text())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        names = ("src", "href", "xlink:href", "action", "data")
        self.addresses += [value for name, value in attributes if name in names]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += f"{data} "
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def playbacks_of(page):
    return json.loads(next(script for script in page.scripts if script.startswith("[")))


def test_a_report_shows_everything_about_a_run(run):
    path = write_report(run.folder, data=run.data)
    page = Page(path)
    assert path == run.folder / "report.html"
    assert page.headings == [
        "Predictions after each step",
        "Training",
        "Metrics",
        "Classes",
        "Confidence",
        "Length",
        "The most confident mistakes",
        "Data",
        "Settings",
        "Time and machine",
        "Use this model",
    ]
    text = " ".join(page.text.split())
    test = run.metrics.test
    assert f"test accuracy {test.accuracy:.2%}" in text
    assert f"Test set, {test.count:,} sequences" in text
    assert "guessed:" in text  # a note about the columns
    assert "temperature" in text
    steps = sum(epoch.step for epoch in read_epochs(run.folder / "history.jsonl"))
    assert re.search(
        rf"\b{steps} steps in \d+ epochs?, batches of \d+( \(auto\))?( \(requested: .*?\))?, seed",
        text,
    )
    assert "hidden size 8" in text
    assert "speed, turn" in text


def test_a_report_loads_nothing_and_contains_names_as_text(run):
    path = write_report(run.folder)
    page = Page(path)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|fetch\(|XMLHttpRequest", path.read_text())
    assert NASTY in page.text
    assert "<b>&" not in path.read_text()
    assert path.stat().st_size < 2_000_000


def test_the_same_report_is_written_from_the_files_of_the_run(run):
    def content(**options):
        text = write_report(run.folder, **options).read_text()
        return re.sub(r"Written by .*? This file", "", text)

    assert content(data=run.data) == content()


def test_playbacks_are_the_answers_of_the_model(run):
    played = playbacks_of(Page(write_report(run.folder)))
    model = run.load()
    assert 3 <= len(played) <= 10
    assert len({one["answer"] for one in played}) > 1
    test = run.data.splits["test"]
    for one in played:
        row = int(one["name"].removeprefix("#"))
        steps = list(test.rows())[row].numpy()
        assert one["answer"] == model.predict([steps])[0]
        assert one["truth"] == model.classes[test.labels[row]]
        assert len(one["forward"]) == one["steps"] == len(steps)


def test_labels_of_steps_are_reported(step_run):
    page = Page(write_report(step_run.folder))
    assert "Sequences with the most wrong steps" in page.headings
    assert "edit score" in page.text
    assert f"Test set, {step_run.metrics.test.count:,} time steps" in page.text
    assert {one["target"] for one in playbacks_of(page)} == {"step"}


def test_a_run_without_its_data_has_a_report_without_sequences(folder, tmp_path):
    data = Dataset(
        "waves",
        Sequences.from_arrays([np.full((4, 2), n % 2.0) for n in range(20)], [0, 1] * 10),
        None,
        ("calm", "rough"),
    )
    own = train(data, out=tmp_path / "run", **{**SETTINGS, "epochs": 1})
    with_data = Page(write_report(own.folder, data=own.data))
    assert "Predictions after each step" in with_data.headings
    with pytest.warns(UserWarning, match="shows no single sequences: .* passed from Python"):
        page = Page(write_report(own.folder))
    assert "Predictions after each step" not in page.headings
    assert "passed from Python" in page.text
    assert "Validation set" in page.text


def test_changed_data_are_not_used(tmp_path):
    own = run_on(tmp_path, "run", epochs=1)
    write_table(tmp_path / "sequence.csv", count=50)
    with pytest.warns(UserWarning, match="has changed since"):
        page = Page(write_report(own.folder))
    assert "has changed since" in page.text
    assert "Predictions after each step" not in page.headings


def test_runs_are_compared(run, folder):
    other = run_on(folder, "other", cell="lstm", epochs=9)
    path = write_comparison([run.folder, other.folder], folder / "comparison.html")
    page = Page(path)
    text = " ".join(page.text.split())
    assert "Comparison of run, other" in text
    assert "McNemar's exact test, on 18 test sequences" in text
    difference = 100 * (other.metrics.test.accuracy - run.metrics.test.accuracy)
    row = re.search(
        rf"other against run {re.escape(f'{difference:+.2f}')} run: (\d+), other: (\d+) ", text
    )
    assert row is not None
    of_run, of_other = map(int, row.groups())
    assert f"Only run is correct: {of_run} " in text
    assert f"Only other is correct: {of_other} " in text
    assert "cell gru lstm" in text
    assert "Only run is correct" in text
    assert "seed" not in text.partition("Settings that differ")[2]


def test_runs_of_steps_are_compared(step_run, folder):
    other = run_on(folder, "other-steps", "step", cell="rnn")
    page = Page(write_comparison([step_run.folder, other.folder], folder / "c.html"))
    assert "signed-rank test" in page.text


def test_runs_on_different_test_data_are_not_tested(run, folder, tmp_path):
    source = write_table(tmp_path / "fewer.csv", count=40)
    other = train(
        str(source), options=DataOptions(test_fraction=0.3), out=tmp_path / "few", **SETTINGS
    )
    page = Page(write_comparison([run.folder, other.folder], folder / "d.html"))
    assert "the runs have different test sets" in page.text


def test_runs_that_do_not_belong_together_are_refused(run, step_run, folder):
    with pytest.raises(ConfigError, match=r"some of the runs .* label time steps"):
        write_comparison([run.folder, step_run.folder], folder / "e.html")
    with pytest.raises(ConfigError, match="1 run to compare; expected at least 2"):
        write_comparison([run.folder], folder / "e.html")
    assert not (folder / "e.html").exists()


def test_folders_that_are_not_finished_runs_are_refused(run, tmp_path):
    with pytest.raises(CheckpointError, match="is not a run; expected a folder that bothways"):
        write_report(tmp_path)
    model = tmp_path / "model"
    run.load().save(model)
    with pytest.raises(CheckpointError, match="is not a run"):
        write_report(model)
    (model / "checkpoints").mkdir()
    request = run.folder / "checkpoints" / "request.json"
    (model / "checkpoints" / "request.json").write_bytes(request.read_bytes())
    with pytest.raises(CheckpointError, match=r"not finished; .* Run: bothways train .* --resume"):
        write_report(model)


def test_json_cannot_end_its_element():
    text = _json_in_html([NASTY])
    assert "<" not in text
    assert json.loads(text) == [NASTY]


def test_data_of_another_run_are_refused(run, folder, tmp_path):
    other = run_on(tmp_path, "other", seed=5, epochs=1)
    with pytest.raises(DataError, match=r"data are not those that .* was trained on"):
        write_report(run.folder, data=other.data)


def test_changed_test_data_are_not_used(tmp_path):
    write_table(tmp_path / "waves_TRAIN.csv", count=30)
    write_table(tmp_path / "waves_TEST.csv", count=12, prefix="t", seed=1)
    own = train(str(tmp_path / "waves_TRAIN.csv"), out=tmp_path / "run", **SETTINGS)
    assert "Predictions after each step" in Page(write_report(own.folder)).headings
    write_table(tmp_path / "waves_TEST.csv", count=12, prefix="t", seed=2)
    with pytest.warns(UserWarning, match="shows no single sequences: .* has changed since"):
        page = Page(write_report(own.folder))
    assert "Predictions after each step" not in page.headings
    assert "Reading the data gave no warnings" not in page.text


def test_out_must_be_a_new_html_file(run, tmp_path):
    before = (run.folder / "metrics.json").read_bytes()
    for name, message in (
        ("report.pdf", r"the extension of output file .* is '\.pdf'; expected \.html"),
        ("no/report.html", "in a folder that does not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_report(run.folder, out=tmp_path / name)
    out = tmp_path / "report.html"
    write_report(run.folder, out=out)
    with pytest.raises(ConfigError, match=r"report\.html exists; expected a new one"):
        write_report(run.folder, out=out)
    write_report(run.folder, out=out, force=True)
    assert (run.folder / "metrics.json").read_bytes() == before


def test_an_empty_history_is_named(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    (copy / "history.jsonl").write_text("")
    with pytest.raises(CheckpointError, match=r"history\.jsonl contains no epoch"):
        write_report(copy)


def test_a_run_is_not_compared_with_itself(run, folder):
    (folder / "link").symlink_to(run.folder)
    with pytest.raises(ConfigError, match="is named twice; expected different runs"):
        write_comparison([run.folder, folder / "link"], folder / "f.html")


def test_the_settings_of_matplotlib_and_strange_names_change_nothing(run, monkeypatch):
    import matplotlib as mpl

    expected = re.sub("Written by .*? This file", "", write_report(run.folder).read_text())
    monkeypatch.setitem(mpl.rcParams, "text.usetex", True)
    monkeypatch.setitem(mpl.rcParams, "savefig.facecolor", "white")
    found = re.sub("Written by .*? This file", "", write_report(run.folder).read_text())
    assert found == expected
