"""Steps that run as one, so that what lies between them needs no memory."""

import dataclasses

from tflite.aot.program import Program, Step


def fuse(program: Program) -> Program:
    """Lets a convolution add its rows to the other input of the ADD that alone reads them.

    The sum may stand where that other input stood, and the convolution's output stands nowhere: residual
    blocks keep two activations instead of three. The outputs are the same.
    """
    steps = list(program.steps)
    for index, step in enumerate(steps):
        later = _addition(program, steps, index) if step is not None and step.kernel == "conv_2d" else None
        if later is not None:
            steps[index], steps[later] = _joined(program, step, steps[later]), None
    return dataclasses.replace(program, steps=tuple(step for step in steps if step is not None))


def _addition(program: Program, steps: list[Step | None], index: int) -> int | None:
    """The later step that adds the convolution's output to something that exists before it."""
    output = steps[index].output
    readers = [i for i, step in enumerate(steps) if step is not None and output in step.inputs]
    if output == program.output or len(readers) != 1 or steps[readers[0]].kernel != "add_linear":
        return None
    addition = steps[readers[0]]
    other = _other(addition, output)
    written = {step.output for step in steps[index:] if step is not None}
    return None if other is None or other in written else readers[0]


def _other(addition: Step, output: int) -> int | None:
    """What is added to the buffer `output`; None where that is itself."""
    a, b = addition.inputs
    return (b if a == output else a) if a != b else None


def _joined(program: Program, convolution: Step, addition: Step) -> Step:
    other = _other(addition, convolution.output)
    add, conv = dict(addition.arguments), convolution.arguments
    if addition.inputs[1] == convolution.output:
        add |= {"a_factor": add["b_factor"], "b_factor": add["a_factor"]}
    add["count"] = row = program.buffers[convolution.output].size // conv["out_height"]
    return Step(
        kernel="conv_2d_add",
        function="conv_2d_add",
        structure="conv_2d_add",
        arguments={"convolution": conv, "addition": add},
        inputs=(*convolution.inputs, other),
        output=addition.output,
        label=f"{convolution.label}, {addition.label}",
        in_place=() if other in convolution.inputs else (1,),
        scratch=-(-row // 4) * 4 + convolution.scratch,
    )
