"""The compiled engine: recurrent layers as machine code, for float32 on a CPU.

`docs/explanation/engine.md` describes it. `autograd` implements the kernel interface, `layout`
places the data of a call in memory, `cache` compiles and loads the program, and `passes` runs it on
the tensors of a call. The source of the program belongs to `codegen`.
"""

from bothways.kernels.compiled.autograd import last_outputs, outputs

__all__ = ["last_outputs", "outputs"]
