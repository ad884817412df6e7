import pathlib
import sys

# The made-up model is shared with the tests of tflite/micro.py.
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tflite"))
