"""Quantization: post-training modes, diagnosis, quantization-aware training, weight compression."""
