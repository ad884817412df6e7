"""Versions of everything that can change a number."""

import platform


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    from importlib import metadata

    import keras

    import tsd_keras

    found = {
        "python": platform.python_version(),
        "tsd_keras": tsd_keras.__version__,
        "backend": keras.backend.backend(),
    }
    for package in ("keras", "tensorflow", "jax", "ai-edge-litert", "tflite-micro", "numpy", "scikit-learn"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
