"""The tools of torch do with these layers what `docs/guides/torch.md` states."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch

import bothways.nn
from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ExportError

KINDS = ["RNN", "GRU", "LSTM"]
kinds = pytest.mark.parametrize("kind", KINDS)
# torch deprecates most of these tools, and warns about what it records as constants.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::torch.jit.TracerWarning",
    "ignore:The tensor attributes .*_flat_weights:UserWarning",
    "ignore:torch.quantize_per_tensor:UserWarning",
    "ignore:Exporting a model to ONNX with a batch_size other than 1:UserWarning",
)


class Tagger(torch.nn.Module):
    """A model of a PyTorch user, whose layers may be those of torch or of bothways."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.linear = torch.nn.Linear(8, 5)

    def forward(self, inputs):
        return self.linear(self.layers(inputs)[0])


class RaggedTagger(Tagger):
    def forward(self, inputs, lengths):
        return self.linear(self.layers(inputs, lengths=lengths)[0])


def make(kind, namespace=bothways.nn, **options):
    return getattr(namespace, kind)(3, 4, 2, batch_first=True, bidirectional=True, **options)


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


@kinds
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_trace_passes_its_check_and_takes_other_sizes(kind, training):
    model = Tagger(make(kind)).train(training)
    traced = torch.jit.trace(model, torch.randn(2, 5, 3))
    for size in [(3, 7, 3), (1, 1, 3)]:
        inputs = torch.randn(size)
        assert_same(traced(inputs), model(inputs))


@kinds
def test_a_trace_with_lengths_takes_other_lengths(kind):
    model = RaggedTagger(make(kind)).eval()
    traced = torch.jit.trace(model, (torch.randn(2, 5, 3), torch.tensor([2, 5])))
    inputs, lengths = torch.randn(3, 7, 3), torch.tensor([7, 1, 4])
    assert_same(traced(inputs, lengths), model(inputs, lengths))


@kinds
def test_a_trace_for_training_draws_dropout(kind):
    model = RaggedTagger(make(kind, dropout=0.5))
    example = (torch.randn(2, 5, 3), torch.tensor([2, 5]))
    traced = torch.jit.trace(model, example, check_trace=False)
    assert not torch.equal(traced(*example), traced(*example))
    traced(*example).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@kinds
def test_a_trace_has_the_warnings_about_values_only_that_torch_has(kind):
    """The tracer does not warn that a size becomes a constant."""
    with pytest.warns(torch.jit.TracerWarning) as warned:
        torch.jit.trace(RaggedTagger(make(kind)), (torch.randn(2, 5, 3), torch.tensor([2, 5])))
    assert not [one for one in warned if "Using len" in str(one.message)]


def test_an_exported_program_runs_without_bothways(tmp_path):
    model = Tagger(make("LSTM")).eval()
    inputs = torch.randn(4, 6, 3)
    batch = torch.export.Dim("batch", min=2, max=1000)
    program = torch.export.export(model, (inputs,), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    others = torch.randn(7, 6, 3)
    torch.save(others, tmp_path / "inputs.pt")
    code = (
        "import sys, torch\n"
        "outputs = torch.export.load('model.pt2').module()(torch.load('inputs.pt'))\n"
        "torch.save(outputs, 'outputs.pt')\n"
        "assert 'bothways' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    assert_same(torch.load(tmp_path / "outputs.pt"), model(others))


@pytest.mark.parametrize("namespace", [torch.nn, bothways.nn], ids=["torch", "bothways"])
def test_an_exported_program_takes_as_many_time_steps_as_the_example(namespace):
    time = torch.export.Dim("time", min=2, max=1000)
    with pytest.raises(torch._dynamo.exc.UserError, match="marked time as dynamic but"):
        torch.export.export(
            Tagger(make("LSTM", namespace)), (torch.randn(4, 6, 3),), dynamic_shapes=({1: time},)
        )


@kinds
def test_onnx_by_torchs_tracer(kind):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = Tagger(make(kind)).eval()
    file = io.BytesIO()
    torch.onnx.export(
        model,
        (torch.randn(2, 5, 3),),
        file,
        dynamo=False,
        input_names=["inputs"],
        dynamic_axes={"inputs": {0: "batch", 1: "time"}},
    )
    session = onnxruntime.InferenceSession(file.getvalue())
    inputs = torch.randn(3, 7, 3)
    (outputs,) = session.run(None, {"inputs": inputs.numpy()})
    np.testing.assert_allclose(outputs, model(inputs).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("disabled", [False, True], ids=["compiled", "disabled"])
def test_a_compiled_model_runs_the_engine_if_its_layers_are_not_compiled(disabled):
    model = Tagger(make("LSTM"))
    if disabled:
        model.layers.forward = torch.compiler.disable(model.layers.forward)
    inputs = torch.randn(2, 5, 3)
    outputs = torch.compile(model, backend="eager")(inputs)
    assert (model.layers.last_choice is not None) == disabled  # a trace does not set it
    assert_same(outputs, model(inputs))
    outputs.sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@kinds
def test_script_is_refused_in_one_line(kind):
    model = Tagger(make(kind))
    message = (
        rf"cannot compile {kind} of bothways\.nn; expected layers of torch\.nn\. Use torch\.export"
    )
    for module in (model.layers, model):
        with pytest.raises(ExportError, match=message):
            torch.jit.script(module)
    assert type(model.layers) is getattr(bothways.nn, kind)


def test_script_refuses_a_classifier():
    model = SequenceClassifier(ModelConfig(input_size=3, num_classes=2, hidden_size=4))
    with pytest.raises(ExportError, match=r"torch\.jit\.script cannot compile LSTM"):
        torch.jit.script(model)


@kinds
def test_a_script_contains_a_traced_layer(kind):
    model = Tagger(make(kind)).eval()
    inputs = torch.randn(2, 5, 3)
    traced = Tagger(torch.jit.trace(model.layers, inputs))
    traced.linear = model.linear
    others = torch.randn(3, 7, 3)
    assert_same(torch.jit.script(traced)(others), model(others))


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_dynamic_quantization_leaves_the_layers_as_they_are(kind):
    """torch quantizes layers whose type is exactly that of torch.nn."""
    ours, theirs = getattr(bothways.nn, kind), getattr(torch.nn, kind)
    model = Tagger(make(kind)).eval()
    plain = Tagger(make(kind, torch.nn)).eval()
    plain.load_state_dict(model.state_dict())
    types = {ours, theirs, torch.nn.Linear}
    quantize = torch.ao.quantization.quantize_dynamic

    untouched = quantize(model, types)
    assert type(untouched.layers) is ours
    assert untouched.layers.weight_ih_l0.dtype == torch.float32
    assert type(untouched.linear) is not torch.nn.Linear

    quantized = quantize(plain, types)
    assert type(quantized.layers).__module__ == "torch.ao.nn.quantized.dynamic.modules.rnn"
    inputs = torch.randn(3, 7, 3)
    torch.testing.assert_close(quantized(inputs), model(inputs), rtol=0, atol=0.05)


def test_lazily_negated_weights_after_a_call():
    layer, steps = bothways.nn.LSTM(3, 5), torch.randn(4, 2, 3)
    layer(steps)
    layer.weight_hh_l0.data = torch._neg_view(layer.weight_hh_l0.data)
    other = bothways.nn.LSTM(3, 5, backend="torch")
    other.load_state_dict({n: w.resolve_neg() for n, w in layer.state_dict().items()})
    torch.testing.assert_close(layer(steps)[0], other(steps)[0])
