"""The quantizer without TensorFlow: ai-edge-quantizer on a float flatbuffer."""

import numpy as np

from tflite import graph as graph_module
from tflite import quiet
from tflite.errors import UserError
from tflite.quantize.calibration import Ranges


def quantize(model: bytes, mode: str, ranges: Ranges | None = None) -> bytes:
    """Quantizes a float flatbuffer.

    Args:
        model: The flatbuffer.
        mode: `"float16"`, `"dynamic"`, `"int8"` or `"int16x8"`.
        ranges: `{tensor index: (least, largest)}` of all computed tensors, for the last two.

    Raises:
        UserError: If the package is missing, or refuses the model.
    """
    try:
        with quiet.native_logs():
            from ai_edge_quantizer import quantizer
    except ImportError:
        raise UserError(
            "The quantizer litert is not installed: pip install ai-edge-quantizer, or choose the quantizer "
            "tensorflow."
        ) from None
    statistics = None
    if ranges is not None:
        statistics = {
            tensor.name: {
                key: np.full((1,) * len(tensor.shape), value, "float32")
                for key, value in zip(("min", "max"), ranges[tensor.index], strict=True)
            }
            for tensor in graph_module.read(model).activations()
        }
    try:
        with quiet.native_logs():
            work = quantizer.Quantizer(model, _recipe(mode))
            result = work.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    except Exception as error:  # the package raises anything here
        reason = (str(error).strip().splitlines() or [repr(error)])[0][:300]
        raise UserError(
            f"ai-edge-quantizer refuses the model in mode {mode}: {reason}. Choose the quantizer tensorflow."
        ) from error
    return bytes(result.quantized_model)


def _recipe(mode: str):
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe, recipe_manager

    ready = {
        "int8": recipe.static_wi8_ai8,
        "int16x8": recipe.static_wi8_ai16,
        "dynamic": recipe.dynamic_wi8_afp32,
    }
    if mode in ready:
        return ready[mode]()
    manager = recipe_manager.RecipeManager()
    manager.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=16, dtype=qtyping.TensorDataType.FLOAT
            ),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
    )
    return manager.get_quantization_recipe()
