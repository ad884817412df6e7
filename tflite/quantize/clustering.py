"""Clustering: kernels of few values, found while the model learns, by TensorFlow Model Optimization.

After Han et al. (2015), "Deep Compression", arXiv 1510.00149. `tflite.quantize.lookup` turns the few
values into fewer bytes.
"""

import warnings

import keras
import numpy as np

from tflite.errors import UserError
from tflite.quantize import optimization
from tflite.quantize.form import WrappedModel
from tflite.quantize.twin import twin

_LAYERS = ("Conv1D", "Conv2D", "Conv2DTranspose", "Dense")
_LEAST, _MOST = 3, 128  # one of them zero; what TFLM's tables hold


class ClusteredModel(WrappedModel):
    """A model whose kernels (but depthwise ones) hold few values, which learn.

    Kernels of Conv2D have values of their own in every output channel, as int8 quantizes them; pruned ones
    share theirs, and their zeros stay zeros. Kernels with no more weights than values stay as they are.

    Args:
        model: A Keras 3 model.
        clusters: Values a kernel (a channel of it) may hold, zero among them where it was pruned.

    Raises:
        UserError: For a number of clusters out of bounds, or a model without a twin.
    """

    def __init__(self, model: keras.Model, clusters: int):
        if not _LEAST <= clusters <= _MOST:
            raise UserError(f"clusters is {clusters}; give a number from {_LEAST} to {_MOST}.")
        clustering = optimization.tfmot().clustering.keras
        self._clustered = {}

        def wrap(layer):
            if type(layer).__name__ not in _LAYERS:
                return layer
            kernel = layer.kernel.numpy()
            is_pruned = bool((kernel == 0).any())
            if is_pruned and min((kernel < 0).sum(), (kernel > 0).sum()) <= clusters:
                return layer
            settings = {
                "cluster_per_channel": kernel.ndim == 4 and not is_pruned,
                "preserve_sparsity": is_pruned,
            }
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = clustering.cluster_weights(
                    layer,
                    clusters,
                    clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
                    **settings,
                )
            if result is not layer:
                self._clustered[layer.name] = result
            return result

        super().__init__(twin(model), wrap)

    def weights(self) -> dict[str, list[np.ndarray]]:
        """`{layer: its weights}`, every kernel with its values."""
        found = super().weights()
        for name, wrapper in self._clustered.items():
            wrapper.update_clustered_weights_associations()
            found[name][0] = np.array(wrapper.get_weight_from_layer("kernel"))
        return found
