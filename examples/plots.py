"""Plots of the notebooks."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from bothways.evaluation.metrics import Metrics
from bothways.models import TrainedModel


def show_as_sequence(image: np.ndarray) -> None:
    """Show an image, and its rows as a sequence of 28 time steps with 28 features each."""
    figure = plt.figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.imshow(image, cmap="gray_r")
    left.set(title="the image", xticks=[], yticks=[])
    for step, row in enumerate(image):
        right.fill_between(range(28), step, step - 0.9 * row, color="tab:blue", alpha=0.7, lw=0)
    right.invert_yaxis()
    right.set(title="the sequence", xlabel="feature (column)", ylabel="time step (row)")


def show_curves(*folders: Path) -> None:
    """Show loss and training accuracy of each epoch of one or several runs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    for folder in folders:
        lines = [json.loads(line) for line in (folder / "history.jsonl").open()]
        epochs = [line for line in lines if line["kind"] == "epoch"]
        steps = [line for line in lines if line["kind"] == "step"]
        places = [(line["epoch"] - 1) * epochs[0]["step"] + line["step"] for line in steps]
        left.plot(places, [line["loss"] for line in steps], label=folder.name)
        accuracies = [100 * line["accuracy"] for line in epochs]
        right.plot(range(1, len(epochs) + 1), accuracies, "o-", label=folder.name)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="epoch", ylabel="training accuracy, %", xticks=range(1, len(epochs) + 1))
    right.legend(frameon=False)


def show_confusion(metrics: Metrics) -> None:
    """Show the confusion matrix without its diagonal, which would hide the mistakes."""
    counts = np.array(metrics.confusion_matrix)
    mistakes = counts - np.diag(np.diag(counts))
    figure, axes = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
    axes.imshow(mistakes, cmap="Oranges")
    for row, column in zip(*np.nonzero(mistakes), strict=True):
        axes.text(column, row, mistakes[row, column], ha="center", va="center", fontsize=8)
    names = list(metrics.per_class)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="digit", title=f"{mistakes.sum()} mistakes")


def show_playback(model: TrainedModel, image: np.ndarray) -> None:
    """Show what the model answers to the first t rows, and to the last t rows, for all t."""
    beginnings = model.predict_proba([image[:t] for t in range(1, 29)])
    ends = model.predict_proba([image[28 - t :] for t in range(1, 29)])
    figure, (picture, first, last) = plt.subplots(
        1, 3, figsize=(9, 3), width_ratios=(1, 1.3, 1.3), layout="constrained"
    )
    picture.imshow(image, cmap="gray_r")
    picture.set(xticks=[], yticks=[])
    for axes, answers, title in (
        (first, beginnings, "after the first t rows"),
        (last, ends, "after the last t rows"),
    ):
        extent = (0.5, 28.5, 9.5, -0.5)
        axes.imshow(answers.T, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=extent)
        axes.set(title=title, xlabel="t", yticks=range(10))
