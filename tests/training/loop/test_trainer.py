"""The training loop in memory; test_run.py tests runs in folders."""

import numpy as np
import pytest
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences, TrainConfig
from bothways.data.batching import IGNORED
from bothways.errors import NonFiniteLossError
from bothways.nn.ensemble import make_classifier
from bothways.nn.initialization import new_classifier
from bothways.training.loop.epochs import Epochs
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.trainer import Training, start_training


def make_sequences(count=40, seed=0):
    """Return ragged sequences of two classes that differ in their sign."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    arrays = [
        generator.normal(1.5 * (2 * label - 1), 1, (generator.integers(1, 8), 3)).astype(np.float32)
        for label in labels
    ]
    return Sequences.from_arrays(arrays, labels)


def make_training(validation=None, model=None, sequences=None, **settings):
    config = TrainConfig(**{"epochs": 2, "batch_size": 8, "learning_rate": 0.01, **settings})
    torch.manual_seed(config.seed)
    classifier = make_classifier(
        ModelConfig(input_size=3, hidden_size=4, num_classes=2, **(model or {}))
    )
    return Training(classifier, sequences or make_sequences(), config, validation)


def weights_of(training):
    return torch.cat([tensor.flatten() for tensor in training.model.state_dict().values()])


def test_events_are_steps_and_epochs():
    events = list(make_training().events())
    assert [type(event) for event in events] == ([StepDone] * 5 + [EpochDone]) * 2
    assert [(e.epoch, e.step, e.steps, e.seen) for e in events[6:11]] == [
        (2, step, 5, 8 * step) for step in range(1, 6)
    ]


def test_learns():
    *_, last = make_training(epochs=12).events()
    assert last.accuracy > 0.95
    assert last.loss < 0.2


def test_one_step_is_plain_adam_on_cross_entropy():
    """A training step equals the same step written with torch."""
    sequences = make_sequences(8)
    ours = make_training(sequences=sequences)
    torch.manual_seed(0)
    theirs = SequenceClassifier(ours.model.config)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    batch = sequences.batch(torch.arange(8))
    torch.nn.functional.cross_entropy(theirs(batch.inputs, batch.lengths), batch.labels).backward()
    optimizer.step()
    next(ours.events())
    for mine, expected in zip(ours.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)


def test_same_seed_same_bits_and_other_seed_other_weights():
    runs = []
    for seed in (0, 0, 1):
        training = make_training(seed=seed, model={"dropout": 0.2})
        list(training.events())
        runs.append(weights_of(training))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_gradient_clip_bounds_a_step():
    """One step of plain SGD at rate 1 moves the weights by the clipped norm."""
    training = make_training(optimizer="sgd", learning_rate=1.0, gradient_clip=0.01)
    before = weights_of(training)
    next(training.events())
    assert float((weights_of(training) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_weight_decay_applies_to_weights_without_a_gradient():
    """Readout `last` gives one weight no gradient; weight decay must still apply to it."""
    training = make_training(
        model={"readout": "last"}, optimizer="sgd", learning_rate=0.5, weight_decay=0.1
    )
    weight = training.model.layers.weight_hh_l0_reverse
    before = weight.detach().clone()
    next(training.events())
    torch.testing.assert_close(weight.detach(), before * (1 - 0.5 * 0.1))


def test_label_smoothing_raises_the_loss():
    *_, plain = make_training(epochs=12).events()
    *_, smoothed = make_training(epochs=12, label_smoothing=0.2).events()
    assert smoothed.loss > plain.loss + 0.1


def test_average_is_the_exponential_moving_average():
    training = make_training(average_decay=0.9, epochs=1)
    average = None
    for event in training.events():
        if isinstance(event, StepDone):
            now = weights_of(training).clone()
            average = now if average is None else 0.9 * average + 0.1 * now
    chosen = torch.cat([tensor.flatten() for tensor in training.chosen_weights().values()])
    torch.testing.assert_close(chosen, average)
    assert not torch.equal(chosen, weights_of(training))


def test_padding_waste_is_that_of_all_passes():
    sequences = Sequences.from_arrays([np.zeros((n, 3)) for n in [1, 10] * 8], [0, 1] * 8)
    *steps, epoch = make_training(sequences=sequences, epochs=None, steps=2, batch_size=16).events()
    assert len(steps) == 2
    assert epoch.padding_waste == pytest.approx(1 - 88 / 160)


def test_padding_waste_counts_what_is_drawn():
    """Balanced sampling draws with replacement, here about half of the time the long sequence."""
    sequences = Sequences.from_arrays([np.zeros((n, 3)) for n in (*[10] * 9, 100)], [0] * 9 + [1])
    settings = {"epochs": 1, "batch_size": 10, "sampling": "balanced"}
    *_, epoch = make_training(sequences=sequences, **settings).events()
    ((_, rows),) = Epochs(sequences, TrainConfig(**settings)).batches(0)
    drawn = sequences.lengths[rows]
    assert len(drawn.unique()) == 2
    assert epoch.padding_waste == pytest.approx(1 - int(drawn.sum()) / 1000)


def test_best_epoch_is_chosen_on_validation():
    training = make_training(validation=make_sequences(20, seed=9), epochs=6, learning_rate=0.3)
    scores, weights = [], []
    for event in training.events():
        if isinstance(event, EpochDone):
            scores.append((event.validation_accuracy, -event.validation_loss))
            weights.append({n: t.clone() for n, t in training.model.state_dict().items()})
    best = scores.index(max(scores))
    assert training.best.epoch == best + 1
    for name, tensor in training.chosen_weights().items():
        assert torch.equal(tensor, weights[best][name])


def test_patience_stops_early():
    training = make_training(
        validation=make_sequences(20, seed=9),
        validation_fraction=0.1,
        patience=2,
        epochs=100,
        learning_rate=1e-30,  # the model does not improve
    )
    epochs = [event for event in training.events() if isinstance(event, EpochDone)]
    assert training.finished
    assert len(epochs) == training.best.epoch + 2 < 100


def test_schedule_reaches_the_optimizer(monkeypatch):
    rates = []
    training = make_training(schedule="one_cycle", learning_rate=0.02)
    monkeypatch.setattr(training._optimizer, "step", rates.append)
    list(training.events())
    assert len(rates) == 10
    assert max(rates) == pytest.approx(0.02)
    assert rates[0] < 0.002
    assert rates[-1] < 1e-6


@pytest.mark.parametrize(
    "notice",
    [Training.loss, Training.state, lambda training: list(training.events())],
    ids=["loss", "state", "epoch"],
)
def test_a_non_finite_loss_stops_training(notice):
    sequences = make_sequences()
    training = make_training(sequences=sequences)
    events = training.events()
    next(events)
    sequences.steps.fill_(float("nan"))
    next(events)
    message = r"loss is nan in epoch 1, step 2; expected a finite number. Try a lower"
    with pytest.raises(NonFiniteLossError, match=message):
        notice(training)


def test_non_finite_weights_are_not_saved():
    training = make_training()
    next(training.events())
    training.model.linear.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteLossError, match="a weight is NaN or infinite in epoch 1, step 1"):
        training.state()


def test_epoch_loss_does_not_depend_on_when_it_is_read():
    losses = []
    for read_every in (1, 3, 100):
        training = make_training(sequences=make_sequences(200), epochs=1)
        for event in training.events():
            if isinstance(event, StepDone) and event.step % read_every == 0:
                training.loss()
        losses.append(event.loss)
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ({}, {"gradient_clip": 0.05, "label_smoothing": 0.1}),
        ({}, {"average_decay": 0.9, "schedule": "one_cycle", "class_weights": "balanced"}),
        ({"readout": "attention"}, {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1}),
        ({"normalization": "both"}, {"augment_time_warp": 0.3, "augment_scale": 0.2}),
    ],
)
def test_the_networks_of_an_ensemble_are_trained_as_if_alone(model, settings):
    """This holds if no network draws random numbers, as dropout does."""
    ensemble = make_training(model={**model, "members": 3}, **settings)
    alone = []
    for network in ensemble.model.networks:
        training = make_training(model=model, **settings)
        training.model.load_state_dict(network.state_dict())
        alone.append(training)
    *_, last = ensemble.events()
    losses = [list(training.events())[-1].loss for training in alone]
    assert last.loss == pytest.approx(sum(losses) / 3, rel=1e-6)
    trained = ensemble.chosen_weights()
    for n, training in enumerate(alone):
        for name, tensor in training.chosen_weights().items():
            assert torch.equal(trained[f"members.{n}.{name}"], tensor), name


def test_the_first_network_of_an_ensemble_is_the_single_network_of_the_seed():
    config = TrainConfig(epochs=2, batch_size=8, seed=5)
    trainings = []
    for members in (1, 3):
        model = ModelConfig(
            input_size=3, hidden_size=4, num_classes=2, members=members, normalization="dataset"
        )
        trainings.append(start_training(model, config, make_sequences()))
        list(trainings[-1].events())
    single, ensemble = (training.model for training in trainings)
    for name, tensor in single.state_dict().items():
        assert torch.equal(ensemble.networks[0].state_dict()[name], tensor), name


def test_the_networks_of_an_ensemble_have_the_statistics_of_the_data():
    sequences = make_sequences()
    sequences.steps[:, 1] = torch.randint(0, 4, (len(sequences.steps),))
    model = ModelConfig(
        input_size=3, num_classes=2, members=3, normalization="both", categories=(0, 5, 0)
    )
    first, *others = start_training(model, TrainConfig(), sequences).model.networks
    assert first.encoder.scale.min() > 1
    assert first.encoder.tokens["1"].known.tolist() == [True] * 4 + [False] * 2
    for network in others:
        for copied, fitted in zip(network.encoder.buffers(), first.encoder.buffers(), strict=True):
            assert torch.equal(copied, fitted)


def test_stems_start_with_differences_and_nothing_else_changes():
    """Their scale does not depend on jitter; torch's default generator is not used."""
    walks = np.random.default_rng(0).normal(size=(8, 300, 3)).cumsum(axis=1).astype(np.float32)
    sequences = Sequences.from_arrays(list(walks), [0, 1] * 4)
    settings = {"input_size": 3, "hidden_size": 4, "num_classes": 2, "stem_channels": 6}
    config = TrainConfig(seed=3)
    found = []
    for jitter in (0.0, 0.5):
        model = ModelConfig(**settings, members=2, normalization="both", input_jitter=jitter)
        torch.manual_seed(0)
        found.append(start_training(model, config, sequences).model)
        torch.testing.assert_close(torch.rand(1), torch.tensor([0.4963]), atol=1e-4, rtol=0)
    drawn = new_classifier(model, torch.Generator().manual_seed(config.seed))
    changed = []
    for name, tensor in found[0].named_parameters():
        assert torch.equal(tensor, dict(found[1].named_parameters())[name])
        if not torch.equal(tensor, dict(drawn.named_parameters())[name]):
            changed.append(name)
            assert tensor[:3].sum(dim=2).abs().max().item() < 1e-5
    assert changed == [f"members.{n}.stem.convolutions.0.weight" for n in range(2)]
    assert all(network.encoder.training for network in found[1].networks)


def test_accuracy_and_gradient_norm_of_an_ensemble():
    """The hits are those of the mean; the norm is the mean over the networks."""
    sequences = make_sequences(8)
    training = make_training(sequences=sequences, model={"members": 4}, gradient_clip=1e9)
    batch = sequences.batch(torch.arange(8))
    with torch.no_grad():
        hits = (training.model(batch.inputs, batch.lengths).argmax(dim=1) == batch.labels).sum()
    norms = []
    for network in training.model.networks:
        logits = network(batch.inputs, batch.lengths)
        loss = torch.nn.functional.cross_entropy(logits, batch.labels)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
    next(training.events())
    training.loss()
    assert training.running_accuracy == int(hits) / 8
    assert training.gradient_norm == pytest.approx(sum(norms) / 4, rel=1e-5)


def test_dropout_of_categories_is_drawn_from_the_generator_of_the_training():
    generator = torch.Generator().manual_seed(0)
    arrays = [torch.randint(0, 4, (9, 1), generator=generator).float() for _ in range(20)]
    sequences = Sequences.from_arrays(arrays, [0, 1] * 10)
    model = ModelConfig(input_size=1, num_classes=2, categories=(4,), token_dropout=0.5)
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        training = start_training(model, TrainConfig(epochs=2), sequences)
        list(training.events())
        runs.append(weights_of(training))
    assert torch.equal(*runs)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("stop_after", range(1, 13))
def test_restored_training_gives_the_same_bits(stop_after, members):
    model = {"dropout": 0.3, "initial_state": "normal", "input_jitter": 0.2, "members": members}
    settings = {
        "model": model,
        "average_decay": 0.8,
        "schedule": "one_cycle",
        "validation": make_sequences(10, seed=5),
    }
    undisturbed = make_training(**settings)
    list(undisturbed.events())

    first = make_training(**settings)
    events = first.events()
    for _ in range(stop_after):
        next(events)
    tensors, facts = first.state()
    second = make_training(**settings)
    torch.manual_seed(99)  # restore must restore the random state
    second.restore({name: tensor.clone() for name, tensor in tensors.items()}, facts)
    list(second.events())
    assert torch.equal(weights_of(second), weights_of(undisturbed))
    for name, tensor in undisturbed.chosen_weights().items():
        assert torch.equal(second.chosen_weights()[name], tensor)
    assert second.best == undisturbed.best


def test_crops_without_labels_are_trained_on_without_harm():
    labels = torch.full((40,), IGNORED)
    labels[:10] = torch.arange(10) % 2
    recordings = Sequences.from_arrays([torch.randn(40, 2)]).with_step_labels([labels])
    config = TrainConfig(
        epochs=3, batch_size=1, crop_steps=8, sampling="balanced", augment_time_shift=0.3
    )
    model = ModelConfig(input_size=2, num_classes=2, hidden_size=4, readout="step")
    for sampling in ("balanced", "shuffled"):
        config = config.model_copy(update={"sampling": sampling})
        *_, last = start_training(model, config, recordings).events()
        assert last.loss > 0
        assert 0 < last.accuracy <= 1


def test_an_epoch_whose_labels_are_all_lost_is_no_error():
    """A shift in time can move the only label out of a crop."""
    labels = torch.full((40,), IGNORED)
    labels[0] = 1
    recordings = Sequences.from_arrays([torch.randn(40, 2)]).with_step_labels([labels])
    model = ModelConfig(input_size=2, num_classes=2, hidden_size=4, readout="step")
    config = TrainConfig(epochs=40, crop_steps=8, augment_time_shift=0.9)
    events = list(start_training(model, config, recordings).events())
    accuracies = [event.accuracy for event in events if isinstance(event, EpochDone)]
    assert 0 in accuracies
    assert max(accuracies) == 1


def test_the_numbers_of_a_training_are_drawn_from_the_given_generator():
    config = TrainConfig(epochs=1, batch_size=8)
    model = ModelConfig(input_size=3, hidden_size=4, num_classes=2, dropout=0.5)
    generator = torch.Generator().manual_seed(7)
    before = generator.get_state()
    training = Training(make_classifier(model), make_sequences(), config, generator=generator)
    assert torch.equal(training.state()[0]["random.cpu"], before)
    list(training.events())
    assert torch.equal(training.state()[0]["random.cpu"], generator.get_state())
    assert not torch.equal(generator.get_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_on_another_device_a_training_draws_from_a_new_generator():
    model = ModelConfig(input_size=3, hidden_size=4, num_classes=2)
    config = TrainConfig(seed=3)
    training = start_training(model, config, make_sequences(), device=torch.device("cuda"))
    expected = torch.Generator("cuda").manual_seed(3).get_state()
    assert torch.equal(training.state()[0]["random.cuda"], expected)
