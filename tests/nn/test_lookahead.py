"""Bidirectional labelers that look ahead by a limited number of time steps."""

import pytest
import torch

from bothways import ModelConfig
from bothways.errors import ConfigError
from bothways.nn.ensemble import make_classifier
from bothways.nn.lookahead import Chunks

LENGTHS = torch.tensor([40, 7, 1, 23, 40, 33])
TIME = 42  # two steps of padding in all rows
LOOKAHEADS = [0, 1, 2, 5, 8, 31]


def make(lookahead=None, state=None, backend="auto", **settings):
    """Return a labeler in eval mode, with the given weights."""
    torch.manual_seed(0)
    config = ModelConfig(
        **{
            "readout": "step",
            "num_layers": 2,
            "hidden_size": 5,
            "input_size": 3,
            "num_classes": 4,
            "lookahead": lookahead,
            **settings,
        }
    )
    model = make_classifier(config, backend=backend).eval()
    if state is not None:
        model.load_state_dict(state)
    return model


def make_inputs():
    inputs = torch.randn(len(LENGTHS), TIME, 3, generator=torch.Generator().manual_seed(1))
    return inputs.masked_fill(torch.arange(TIME)[:, None] >= LENGTHS[:, None, None], torch.nan)


def valid(logits):
    return logits[torch.arange(TIME) < LENGTHS[:, None]]


@pytest.mark.parametrize("lookahead", [*range(10), 32])
def test_chunks(lookahead):
    chunks = Chunks(lookahead)
    farthest = [
        chunks.main_steps - 1 - place + chunks.context_steps for place in range(chunks.main_steps)
    ]
    assert max(farthest) == lookahead
    assert min(farthest) == chunks.context_steps >= lookahead // 2


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_large_lookahead_reads_to_the_end(cell):
    whole = make(cell=cell)
    limited = make(TIME, whole.state_dict(), cell=cell)
    assert torch.equal(valid(limited(make_inputs(), LENGTHS)), valid(whole(make_inputs(), LENGTHS)))


@pytest.mark.parametrize("stem", [{}, {"stem_channels": 4, "stem_stride": 1, "stem_kernel": 3}])
@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_no_label_depends_on_later_steps(lookahead, stem):
    if stem and lookahead < 2:
        pytest.skip("the stem alone looks two steps ahead")
    model, inputs = make(lookahead, **stem), make_inputs()
    before = model(inputs, LENGTHS)
    for step in (0, 3, 12, 39 - lookahead):
        changed = inputs.clone()
        changed[:, step + lookahead + 1 :] += 1
        after = model(changed, LENGTHS)
        rows = step < LENGTHS
        assert torch.equal(after[rows, step], before[rows, step])
        if step + lookahead < 39:
            assert not torch.equal(valid(after), valid(before))


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_one_layer_gives_what_a_batch_of_these_steps_gives(lookahead):
    whole = make(num_layers=1)
    limited = make(lookahead, whole.state_dict(), num_layers=1)
    inputs, length = make_inputs()[:1], 40
    labels = limited(inputs, [length])[0]
    chunks = Chunks(lookahead)
    for step in range(length):
        end = step // chunks.main_steps * chunks.main_steps + lookahead + 1
        prefix = whole(inputs[:, : min(end, length)])[0, step]
        torch.testing.assert_close(labels[step], prefix, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_row_does_not_depend_on_the_others(lookahead):
    model, inputs = make(lookahead), make_inputs()
    together = model(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(inputs[row : row + 1, :length])
        assert torch.equal(alone[0], together[row, :length])


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_gradients_are_those_of_the_reference(lookahead):
    compiled, reference = make(lookahead), make(lookahead, backend="reference")
    reference.load_state_dict(compiled.state_dict())
    for model in (compiled, reference):
        valid(model(make_inputs(), LENGTHS)).square().sum().backward()
    for ours, theirs in zip(compiled.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_dropout_in_training_changes_the_labels():
    model = make(8, dropout=0.5).train()
    assert not torch.equal(
        valid(model(make_inputs(), LENGTHS)), valid(model(make_inputs(), LENGTHS))
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"readout": "final"}, "lookahead is 3 but readout is 'final'; expected 'step'"),
        ({"bidirectional": False}, "lookahead is 3 but bidirectional is False; expected True"),
        ({"initial_state": "normal"}, "initial_state is 'normal'; expected 'zeros'"),
        ({"normalization": "both"}, "normalization is 'both', which reads a whole sequence"),
        ({"stem_channels": 4, "stem_stride": 1}, "read 4 steps ahead; expected at least that"),
        ({"lookahead": -1}, "lookahead is -1; expected greater than or equal to 0"),
    ],
)
def test_settings_that_contradict(settings, message):
    with pytest.raises(ConfigError, match=message):
        make(**{"lookahead": 3, **settings})
