"""The house's rules, read from the imports."""

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ("tsd_keras", "tflite")
    for path in (ROOT / room).rglob("*.py")
}
# Modules of the PyPI package `tflite`, beside those in CamelCase.
TAKEN = {"utils"}


def imports(path, everywhere=True):
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_tflite_never_imports_tsd_keras():
    for name, path in MODULES.items():
        if name.startswith("tflite"):
            assert not any(found.startswith("tsd_keras") for found in imports(path)), name


def test_no_circles_of_imports():
    edges = {name: {one for one in imports(path, False) if one in MODULES} for name, path in MODULES.items()}

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        for other in edges[name]:
            # A package and its modules may import each other's names.
            if other != name and not name.startswith(other + "."):
                visit(other, [*trail, name])

    for name in edges:
        if MODULES[name].name != "__init__.py":
            visit(name, [])


def test_tflite_can_lie_beside_the_package_of_that_name():
    tree = ast.parse((ROOT / "tflite/__init__.py").read_text())
    assert len(tree.body) == 1 and ast.get_docstring(tree)
    for path in (ROOT / "tflite").glob("*.py"):
        assert path.stem == path.stem.lower() and path.stem not in TAKEN


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("tsd_keras")))
def test_training_speaks_keras_only(name):
    # Turns TensorFlow's determinism on; and the one function that Keras lacks.
    allowed = {"tsd_keras.training", "tsd_keras.gradients"}
    if name not in allowed:
        assert not any(found.split(".")[0] == "tensorflow" for found in imports(MODULES[name]))


def test_no_file_holds_a_machine_s_path():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(?<![\w.$)])/(?:root|work|home/\w+)/")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".txt", ".h", ".c", ".cpp"} and path.is_file():
            assert not pattern.search(path.read_text()), name
