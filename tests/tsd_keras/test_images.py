import numpy as np
import pytest
from PIL import Image

from tflite.errors import UserError
from tsd_keras import config, data

SHADES = {"cat": 40, "dog": 120, "owl": 220}


def section(path, **values):
    return config.Data(source="images", path=str(path), **values)


def write(path, shade, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = {"L": shade, "RGB": (shade, 0, 10), "RGBA": (shade, 0, 10, 0)}[mode]
    Image.new(mode, size, colour).save(path)


def folder(root, split="", count=6):
    for name, shade in SHADES.items():
        for index in range(count):
            write(root / split / name / f"{index}.png", shade + index)
    return root


def test_one_level_is_cut_and_keeps_names_order_and_pixels(tmp_path):
    loaded = data.load(section(folder(tmp_path), test_fraction=0.3, validation_fraction=0.3))
    assert loaded.class_names == ("cat", "dog", "owl")
    assert [len(x) for x in (loaded.x_train, loaded.x_validation, loaded.x_test)] == [9, 3, 6]
    assert loaded.x_train.shape[1:] == (4, 6, 3) and loaded.x_train.dtype == "float32"
    red = np.rint(loaded.x_train[:, 0, 0, 0] * 255)
    assert (np.abs(red - np.array(list(SHADES.values()))[loaded.y_train] - 2.5) <= 2.5).all()
    assert loaded.fingerprint == data.load(section(tmp_path, validation_fraction=0.3)).fingerprint


def test_split_folders_stay_apart_and_the_config_orders_the_classes(tmp_path):
    folder(tmp_path, "train")
    folder(tmp_path, "test", 2)
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/cat/.hidden.png").write_bytes(b"")
    settings = section(tmp_path, class_names=["owl", "cat", "dog"], grayscale=True, validation_fraction=0.2)
    loaded = data.load(settings)
    assert len(loaded.x_test) == 6 and len(loaded.x_train) + len(loaded.x_validation) == 18
    assert loaded.x_test.shape[1:] == (4, 6, 1)
    # Owls are the brightest, and class 0 now.
    assert loaded.x_test[loaded.y_test == 0].min() > loaded.x_test[loaded.y_test == 2].max()


def test_files_of_any_size_mode_and_turn_come_to_one_size(tmp_path):
    folder(tmp_path)
    write(tmp_path / "cat/large.png", 42, size=(40, 30))
    write(tmp_path / "cat/gray.png", 42, mode="L")
    write(tmp_path / "cat/clear.png", 42, mode="RGBA")
    turned = Image.new("RGB", (8, 4))
    turned.paste((255, 255, 255), (0, 0, 4, 4))  # left half white; shown a quarter turned: top half
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "cat/turned.jpg", exif=exif, quality=95)
    loaded = data.load(section(tmp_path, size=[8, 4], validation_fraction=0.3))
    assert loaded.x_train.shape[1:] == (8, 4, 3)
    everything = np.concatenate([loaded.x_train, loaded.x_validation, loaded.x_test])
    turned = max(everything, key=lambda image: image.sum())
    assert turned[:4].min() > 0.9 and turned[4:].max() < 0.1


def test_faulty_folders_and_files_are_named(tmp_path):
    good = folder(tmp_path / "good")
    (good / "cat/0.png").write_bytes(b"no image")
    whole = (good / "dog/1.png").read_bytes()
    (good / "dog/1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"2 of 18 images.*(?s:.)*cat/0.png cannot be read(?s:.)*dog/1.png"):
        data.load(section(good))
    sizes = folder(tmp_path / "sizes")
    write(sizes / "dog/3.png", 1, size=(9, 9))
    with pytest.raises(UserError, match="dog/3.png has 9x9 pixels, .*cat/0.png 4x6; set data.size"):
        data.load(section(sizes))
    Image.fromarray(np.zeros((4, 6), "uint16")).save(sizes / "dog/3.png")
    with pytest.raises(UserError, match="dog/3.png has pixels of more than 8 bits"):
        data.load(section(sizes))
    (tmp_path / "empty/a").mkdir(parents=True)
    with pytest.raises(UserError, match="1 folders; give a folder"):
        data.load(section(tmp_path / "empty"))
    (tmp_path / "empty/b").mkdir()
    with pytest.raises(UserError, match="empty/a holds no images"):
        data.load(section(tmp_path / "empty"))
    with pytest.raises(UserError, match="there is no folder"):
        data.load(section(tmp_path / "missing"))
    with pytest.raises(UserError, match="data.source is images, so give the folder"):
        data.load(config.Data(source="images"))


def test_folders_that_do_not_belong_are_named(tmp_path):
    folder(tmp_path, "train")
    folder(tmp_path, "val", 2)
    with pytest.raises(UserError, match="found 'val'. Rename it to 'validation'"):
        data.load(section(tmp_path))
    (tmp_path / "val").rename(tmp_path / "validation")
    (tmp_path / "validation/owl").rename(tmp_path / "validation/fox")
    with pytest.raises(UserError, match="'fox', which is no class.*cat, dog, owl"):
        data.load(section(tmp_path))
    with pytest.raises(UserError, match="a, b are not the folders"):
        data.load(section(tmp_path, class_names=["a", "b"]))


def test_anomalies_need_no_folder_among_the_training_images(tmp_path):
    """As data sets of defects come: train/good, test/good, test/<defect>."""
    for name, count in (("train/good", 8), ("test/good", 3), ("test/broken", 2), ("test/crack", 2)):
        for index in range(count):
            write(tmp_path / name / f"{index}.png", 10 * index)
    loaded = data.load(section(tmp_path, labels="anomaly", validation_fraction=0.25))
    assert loaded.class_names == ("normal", "anomaly") and loaded.y_train is None
    assert len(loaded.x_train) + len(loaded.x_validation) == 8
    assert sorted(loaded.y_test) == [0, 0, 0, 1, 1, 1, 1]
    named = data.load(section(tmp_path, labels="anomaly", normal=["good"], validation_fraction=0.25))
    assert named.fingerprint == loaded.fingerprint
    with pytest.raises(UserError, match="holds 1 folders"):
        data.load(section(tmp_path))  # as classes
