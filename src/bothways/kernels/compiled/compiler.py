"""Compilation of the program: Numba generates LLVM IR, and LLVM compiles it to machine code.

Numba's own loader is not used. Loading a cached program therefore does not import Numba, which
takes half a second, and the IR can be compiled for other processors for inspection.
"""

import re
from typing import Any

from bothways.kernels.cells import Cell
from bothways.kernels.compiled.instruction_sets import Target, host_target

ENTRY = "bothways_run"

# Numba functions return results through pointers, and a status. The entry point discards both.
_ENTRY_IR = """
define void @{entry}(i64 %job) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @{function}(ptr %result, ptr %error, i64 %job)
  ret void
}}
"""


def compile_program(cell: Cell, target: Target) -> bytes:
    """Return the object file of the program for `cell` on `target`; takes seconds."""
    machine = _machine(target)
    return bytes(machine.emit_object(_module(cell, target, machine)))


def assembly_of(cell: Cell, target: Target) -> str:
    """Return the assembly of the program for `cell` on `target`, for inspection."""
    machine = _machine(target)
    return str(machine.emit_assembly(_module(cell, target, machine)))


def _machine(target: Target) -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, jit=True
    )


def _module(cell: Cell, target: Target, machine: Any) -> Any:
    """Return the optimized LLVM module, whose only visible function is `ENTRY`."""
    import llvmlite.binding as llvm

    ir = _numba_ir(cell, target)
    function = re.search(r"^define [^@]*@(\S*?3run\S*?)\(", ir, re.MULTILINE)
    if function is None:
        raise RuntimeError("the LLVM IR of Numba has no function named run")
    ir = re.sub(r'^target (triple|datalayout) = ".*"$', "", ir, flags=re.MULTILINE)
    module = llvm.parse_assembly(ir + _ENTRY_IR.format(entry=ENTRY, function=function[1]))
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    for item in module.functions:
        if not item.is_declaration and item.name != ENTRY:
            item.linkage = "internal"
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    module.verify()
    return module


def _numba_ir(cell: Cell, target: Target) -> str:
    """Return the LLVM IR that Numba generates for the program; most of the compile time.

    Raises
    ------
    ValueError
        If the program has instructions for bfloat16 and this processor does not: Numba also
        generates machine code for this processor, and LLVM would end the process.
    """
    if target.precision == "bfloat16" and not host_target().has_bfloat16:
        raise ValueError("a bfloat16 program can be compiled only where it can run")
    from numba.core import config

    # `_module` optimizes the whole program once; Numba's passes would double the time.
    level, config.OPT = config.OPT, type(config.OPT)(0)
    try:
        from bothways.kernels.compiled.codegen.program import make_program

        run: Any = make_program(cell, target.instruction_set)
    finally:
        config.OPT = level
    (signature,) = run.signatures
    return str(run.inspect_llvm(signature))
