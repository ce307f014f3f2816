"""The sides of the engine benchmark: the timed calls, and the parity gate.

Each side runs in a separate process and imports only the packages that it needs, so most imports
are inside functions. All sides use the inputs and weights of `Case`.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from engine_cases import NUM_CLASSES, Array, Case
from onnx_graph import onnx_model

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from bothways import ModelConfig

Call: TypeAlias = Callable[[], Any]
"""One timed iteration."""

RUNTIMES = ("onnxruntime", "openvino")
SIDES = {
    "train": ("bothways", "torch", "torch-tuned"),
    "train-avx2": ("bothways", "torch"),
    "infer": ("bothways", "torch", "torch-tuned", *RUNTIMES),
    "train-bfloat16": ("bothways", "bothways-float32"),
    "infer-bfloat16": ("bothways", "bothways-float32", "openvino-default"),
    "step": ("bothways", "layers", "torch", "torch-tuned"),
    "answer": ("bothways", "layers", "torch"),
    "latency": ("bothways", "torch", "torch-tuned", *RUNTIMES),
    "memory": ("bothways", "torch"),
}
# Limits Numba, torch, oneDNN and MKL to AVX2.
AVX2_ENVIRONMENT = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+f16c,-avx512f",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}

# Allowed difference from float64, relative to the largest value of each tensor. Float32 rounds to
# 6e-8. With sums over up to 1000 steps of 64 rows, torch has errors of 3e-6 on these shapes, and
# another order of sums or another tanh a few times that. A wrong step, row or gate changes values
# by 1e-2 or more.
TOLERANCE = 1e-5
# The same for precision bfloat16, which rounds each factor to 4e-3. The largest of some thousand
# values of a tensor has a few times the typical error, 3e-3.
BFLOAT16_TOLERANCE = 0.03

DATASET_BATCHES = 50
KEPT_SAMPLES = 200
MAX_SECONDS = 15.0  # after which three samples are enough


def run_side(
    side: str, case: Case, work: str, backend: str, threads: int, quick: bool
) -> list[float]:
    """Return the seconds of each iteration after the warm-up; for `memory`, megabytes."""
    if side == "torch-tuned":
        from bothways.cli.process import keep_freed_memory

        keep_freed_memory()
    case = case.shape(work)
    if side == "bothways" and work.endswith("bfloat16"):
        side = "bothways-bfloat16"
    if side.startswith(RUNTIMES):
        return _seconds(_runtime(side, case, threads), quick)
    import torch

    if work == "step":
        step = _our_step if side == "bothways" else _our_layers if side == "layers" else _plain_step
        return _seconds(step(case, backend), quick)
    if work == "answer":
        with torch.inference_mode():
            return _seconds(_answer(side, case), quick)
    if work == "memory":
        tiny = replace(case, batch_size=1, time=1, shortest=None)
        return _memory_growth(_training(side, tiny, backend), _training(side, case, backend))
    if work.startswith("train"):
        return _seconds(_training(side, case, backend), quick)
    _, forward = _layers(side, case, backend, torch.from_numpy(case.inputs()))
    with torch.inference_mode():
        return _seconds(forward, quick)


def _seconds(call: Call, quick: bool) -> list[float]:
    """Time `call` for about a second, at least 15 times; return quantiles of many samples."""
    budget, least = (0.2, 3) if quick else (1.0, 15)
    _repeat(call, 2, budget / 3)  # warm-up
    samples = _repeat(call, least, budget)
    if len(samples) <= KEPT_SAMPLES:
        return samples
    samples.sort()
    return [samples[(2 * n + 1) * len(samples) // (2 * KEPT_SAMPLES)] for n in range(KEPT_SAMPLES)]


def _repeat(call: Call, least: int, budget: float) -> list[float]:
    """Return the seconds of each call; very slow calls are made fewer than `least` times."""
    samples: list[float] = []
    total = 0.0
    while total < budget or len(samples) < (least if total < MAX_SECONDS else min(3, least)):
        started = time.perf_counter()
        call()
        samples.append(time.perf_counter() - started)
        total += samples[-1]
    return samples


def _memory_growth(first: Call, step: Call) -> list[float]:
    """Return the memory growth of `first`, and the peak of 10 calls of `step` above it, in MB.

    The growth of `first`, a step with one row, is mostly the code of the engine. The peak is reset
    in between.
    """
    before = _status_megabytes("VmRSS")
    first()
    Path("/proc/self/clear_refs").write_text("5")
    loaded = _status_megabytes("VmRSS")
    for _ in range(10):
        step()
    return [loaded - before, _status_megabytes("VmHWM") - loaded]


def _status_megabytes(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024 / 1e6


def _layers(side: str, case: Case, backend: str, inputs: "Tensor") -> tuple["Module", Call]:
    """Return the layers of a side, and a call that runs them over `inputs` in their dtype.

    For torch, ragged rows are packed in advance, and the call returns packed outputs.
    """
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    options: dict[str, Any] = {"bidirectional": case.bidirectional, "dtype": inputs.dtype}
    package: Any = torch.nn
    is_ours = side.startswith("bothways")
    if is_ours:
        package, options["backend"] = import_module("bothways.nn"), backend
        options["precision"] = "bfloat16" if side == "bothways-bfloat16" else "float32"
    layers = getattr(package, case.kind)(
        case.input_size, case.hidden_size, case.num_layers, **options
    )
    layers.load_state_dict({name: torch.from_numpy(w) for name, w in case.weights().items()})
    if is_ours:
        lengths = None if case.shortest is None else torch.from_numpy(case.lengths)
        if case.readout == "last":
            return layers, lambda: layers.last_outputs(inputs, lengths=lengths)
        return layers, lambda: layers.outputs(inputs, lengths=lengths)[0]
    if case.shortest is not None:
        lengths = torch.from_numpy(case.lengths)
        packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
        return layers, lambda: layers(packed)[0]
    if case.readout == "last":
        return layers, lambda: layers(inputs)[0][-1]
    return layers, lambda: layers(inputs)[0]


def _training(side: str, case: Case, backend: str) -> Call:
    """Return a call of the forward and backward pass; the inputs require no gradient."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    layers, forward = _layers(side, case, backend, torch.from_numpy(case.inputs()))
    parameters = list(layers.parameters())
    gradient = torch.from_numpy(case.output_gradient())
    is_packed = not side.startswith("bothways") and case.shortest is not None
    if is_packed:
        lengths = torch.from_numpy(case.lengths)
        gradient = pack_padded_sequence(gradient, lengths, enforce_sorted=False).data

    def step() -> None:
        outputs = forward()
        torch.autograd.backward(outputs.data if is_packed else outputs, gradient)
        for parameter in parameters:
            parameter.grad = None

    return step


def _our_layers(case: Case, backend: str) -> Call:
    """Return a call of the layers' passes in a training step, through autograd."""
    readout = "last" if case.readout == "last" else "all"
    return _training("bothways", replace(case, readout=readout), backend)


def _plain_model(case: Case) -> "Module":
    """Return the model of a plain script."""
    import torch
    from torch import nn

    class PlainModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers: Any = getattr(nn, case.kind)(
                case.input_size,
                case.hidden_size,
                case.num_layers,
                batch_first=True,
                bidirectional=case.bidirectional,
            )
            width = case.num_directions * case.hidden_size
            self.flatten = case.readout == "flatten"
            self.fc = nn.Linear(width * case.time if self.flatten else width, NUM_CLASSES)

        def forward(self, inputs: torch.Tensor) -> Any:
            outputs, _ = self.layers(inputs)
            return self.fc(outputs.flatten(1) if self.flatten else outputs[:, -1])

    return PlainModel()


def _plain_step(case: Case, _: str) -> Call:
    """Return a call of the training step of a plain script, with the batch in memory."""
    import torch
    from torch import nn

    model, criterion = _plain_model(case), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    inputs = torch.from_numpy(case.inputs()).transpose(0, 1).contiguous()
    labels = torch.randint(0, NUM_CLASSES, (case.batch_size,))

    def step() -> None:
        loss = criterion(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _our_config(case: Case) -> "ModelConfig":
    from bothways import ModelConfig

    return ModelConfig(
        cell=case.kind.lower(),
        input_size=case.input_size,
        hidden_size=case.hidden_size,
        num_layers=case.num_layers,
        bidirectional=case.bidirectional,
        readout=case.readout,
        sequence_length=case.time if case.readout == "flatten" else None,
        num_classes=NUM_CLASSES,
    )


def _answer(side: str, case: Case) -> Call:
    """Return a call of the probabilities of one array, or of the prepared layers alone."""
    import torch

    from bothways import SequenceClassifier
    from bothways.models.manifest import Manifest
    from bothways.models.trained import trained_model

    array = case.inputs()[:, 0]
    if side == "torch":
        plain = _plain_model(case).eval()
        return lambda: plain(torch.from_numpy(array)[None]).softmax(dim=-1).numpy()
    config = _our_config(case)
    network = SequenceClassifier(config).eval()
    if side == "layers":
        run, inputs = network.layers.prepared(alone=True), torch.from_numpy(array)[:, None]
        state = torch.zeros(case.num_layers * case.num_directions, 1, case.hidden_size)
        return lambda: run(inputs, None, (state,) * len(network.layers.cell.states))
    classes = tuple(map(str, range(NUM_CLASSES)))
    model = trained_model(network, Manifest(model=config, classes=classes))
    model.keep_private()  # as `bothways.load` does
    return lambda: model.predict_proba([array])


def _our_step(case: Case, backend: str) -> Call:
    """Return a call of the next step of `Training`, including the gathering of its batch."""
    import torch

    from bothways import SequenceClassifier, Sequences, TrainConfig
    from bothways.training.loop.events import StepDone
    from bothways.training.loop.trainer import Training

    count = DATASET_BATCHES * case.batch_size
    sequences = Sequences.from_padded(
        torch.rand(count, case.time, case.input_size),
        labels=torch.randint(0, NUM_CLASSES, (count,)),
    )
    training = Training(
        SequenceClassifier(_our_config(case), backend=backend),
        sequences,
        TrainConfig(epochs=10**6, batch_size=case.batch_size),
    )
    return partial(next, (event for event in training.events() if isinstance(event, StepDone)))


def _runtime(side: str, case: Case, threads: int) -> Call:
    """Return a call of a runtime on the ONNX graph of a case, without copies of buffers."""
    given: dict[str, Array] = {"inputs": case.inputs()}
    if case.shortest is not None:
        given["lengths"] = case.lengths.astype("int32")
    name, _, default = side.partition("-")
    runtime: Any = import_module(name)
    if side == "onnxruntime":
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        session = runtime.InferenceSession(onnx_model(case), options)
        binding = session.io_binding()
        binding.bind_output("outputs")

        def run() -> Any:
            for name, array in given.items():
                binding.bind_cpu_input(name, array)
            session.run_with_iobinding(binding)
            return binding.get_outputs()[0]

        return run
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if not default:  # by default, OpenVINO uses bfloat16 where the processor has it
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    core = runtime.Core()
    model = core.read_model(onnx_model(case), b"")
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    for name, array in given.items():
        request.set_tensor(name, runtime.Tensor(array))

    def infer() -> Any:
        request.infer()
        return request.get_output_tensor(0)

    return infer


def tolerance_of(side: str) -> float:
    """Return the largest error that `parity_errors` may find for a side."""
    return BFLOAT16_TOLERANCE if side == "bothways-bfloat16" else TOLERANCE


def parity_errors(case: Case, backend: str, threads: int) -> dict[str, float]:
    """Return the largest error of each side against torch in float64; see `tolerance_of`.

    Outputs and all gradients are compared, with and without gradients of the inputs. For the
    runtimes, outputs are compared.
    """
    import torch

    precisions = ("bothways-bfloat16",) * case.bfloat16
    errors = dict.fromkeys(("bothways", *precisions, "torch", *RUNTIMES), 0.0)

    def compare(side: str, tensors: dict[str, "Tensor"], reference: dict[str, "Tensor"]) -> None:
        for name, expected in reference.items():
            scale = expected.abs().max().item() or 1.0
            error = (tensors[name].double() - expected).abs().max().item() / scale
            errors[side] = max(errors[side], error)

    for with_inputs in (False, True):
        reference = _gradients("torch", case, backend, torch.float64, with_inputs)
        for side in ("bothways", *precisions, "torch"):
            tensors = _gradients(side, case, backend, torch.float32, with_inputs)
            compare(side, tensors, reference)
    for one in [case, *([case.shape("latency")] if case.alone else [])]:
        inputs = torch.from_numpy(one.inputs())
        with torch.inference_mode():
            _, forward = _layers("torch", one, backend, inputs.double())
            reference = {"outputs": _padded(forward())}
            for side in ("bothways", "torch"):
                _, forward = _layers(side, one, backend, inputs)
                compare(side, {"outputs": _padded(forward())}, reference)
        valid = torch.arange(len(inputs))[:, None] < torch.from_numpy(one.lengths)
        for side in RUNTIMES:
            run = _runtime(side, one, threads)
            result = run()
            array = result.numpy() if side == "onnxruntime" else result.data
            outputs = torch.from_numpy(array.copy())
            if one.readout == "all":
                outputs = torch.where(valid[:, :, None], outputs, 0.0)
            compare(side, {"outputs": outputs}, reference)
    return errors


def _padded(outputs: Any) -> "Tensor":
    from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

    return pad_packed_sequence(outputs)[0] if isinstance(outputs, PackedSequence) else outputs


def _gradients(
    side: str, case: Case, backend: str, dtype: Any, with_inputs: bool
) -> dict[str, "Tensor"]:
    """Return the outputs and gradients of a side by name."""
    import torch

    inputs = torch.from_numpy(case.inputs()).to(dtype).requires_grad_(with_inputs)
    layers, forward = _layers(side, case, backend, inputs)
    outputs = _padded(forward())
    outputs.backward(torch.from_numpy(case.output_gradient()).to(dtype))
    tensors = {"outputs": outputs.detach()}
    leaves = [*layers.named_parameters(), *([("inputs", inputs)] if with_inputs else [])]
    for name, leaf in leaves:
        assert leaf.grad is not None
        tensors[f"gradient of {name}"] = leaf.grad
    return tensors
