"""The compiled engine: recurrent layers near the processor's peak, on a CPU in float32.

`docs/engine.md` explains it in ten minutes. From here: `plan` lays a call out in memory, `binary`
compiles and loads the program, `threads` runs it, and `program` is what it runs.
"""

from bothways.kernels.compiled.autograd import last_outputs, outputs

__all__ = ["last_outputs", "outputs"]
