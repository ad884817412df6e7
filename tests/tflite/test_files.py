import os

import pytest

from tflite import files
from tflite.errors import UserError


def test_an_unwritable_place_is_named_and_older_files_stay(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(UserError, match="not a folder|in the way"):
        files.write_text(tmp_path / "file" / "inside.txt", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_failure_halfway_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "a.bin"
    files.write_bytes(target, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        files.write_bytes(target, b"new")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out"
    with files.new_directory(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), files.new_directory(target) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["out"] and os.listdir(target) == ["a"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
