"""What a graph is lowered to: calls of kernels on buffers, with their arguments."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """Values that stay in flash.

    Attributes:
        values: One-dimensional; int8, int16, int32 or float32.
        weight_bytes: Bytes among them that are the layer's weights and biases, at the width they have here;
            what padding, multipliers and tables take is not.
    """

    values: np.ndarray
    weight_bytes: int = 0

    @property
    def is_far(self) -> bool:
        """Whether kernels read it as `tsd_weight`, which AVR chips may keep beyond their first 64 KB."""
        return self.weight_bytes > 0 and self.values.dtype == np.int8


class Forms:
    """A field that differs between the forms of a kernel (see `firmware/kernels/forms.h`).

    Attributes:
        values: `{"dsp": .., "mve": .., "plain": ..}`; a form that is missing does not set the field.
    """

    def __init__(self, plain, **others):
        self.values = {"dsp": others.get("dsp", plain), "mve": others.get("mve", plain), "plain": plain}
        self.values = {form: value for form, value in self.values.items() if value is not None}

    @classmethod
    def only_dsp(cls, value) -> "Forms":
        """A field that only the DSP form has; None leaves it at zero."""
        return cls(None, dsp=value)


@dataclasses.dataclass(frozen=True)
class Buffer:
    """A tensor in the arena, or the model's input or output.

    Attributes:
        name: The tensor's name in the graph, for comments and pictures.
        tensor: Index of the tensor in the graph, or -1 for a buffer that has none.
        dtype: `"int8"`, `"int16"`, `"int32"` or `"float32"`.
        size: Number of elements.
    """

    name: str
    tensor: int
    dtype: str
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return self.size * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a kernel: `tsd_<function>(&arguments, inputs .., output, scratch)`.

    Attributes:
        kernel: Name of the file in `firmware/kernels/`, without `.h`.
        function: Name of the function, without `tsd_`.
        structure: Name of the arguments' type, without `tsd_` and `_args`.
        arguments: The fields of the structure: numbers, `Constant`s, lists and nested dictionaries.
        inputs: Buffers (by number) and `Constant`s that it reads.
        output: The buffer it writes.
        keeps: Whether it leaves a part of the output as an earlier step wrote it.
        in_place: Positions of the inputs that the output may overwrite.
        scratch: Bytes of memory it needs while it runs, aligned to 4.
        label: What it computes, for a comment.
    """

    kernel: str
    function: str
    structure: str
    arguments: dict
    inputs: tuple
    output: int
    label: str
    keeps: bool = False
    in_place: tuple[int, ...] = ()
    scratch: int = 0


@dataclasses.dataclass(frozen=True)
class Program:
    """The steps of a model, its buffers, and which of them are input and output.

    Attributes:
        states: `{buffer: value}` of the buffers that last from one inference to the next: what each of their
            bytes is before the first.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    input: int
    output: int
    states: dict[int, int] = dataclasses.field(default_factory=dict)
