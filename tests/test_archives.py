"""Data count by what they hold, however they are wrapped; what is wrong with them is one line that says what to do."""

import gzip
import http.server
import shutil
import socket
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from idx import OFFICIAL, idx, unpacked, write

from vaelib import archives, data

PAIR = archives.PARTS[2:]  # the test images and labels: the small files


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No network: the one function that opens a connection fails at once."""

    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder of the test's own with the official archives of MNIST's test images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in PAIR:
        shutil.copy(OFFICIAL / f"{part}.gz", raw)
    return tmp_path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The files of a data set of one's own, called "mine"."""
    return write(tmp_path / "mine" / "raw")


def message(name: str, root: Path, split: str = "test") -> str:
    with pytest.raises(archives.DataError) as caught:
        data.load(name, split, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_archives_alone_are_enough_and_nothing_is_written_beside_them(root, mnist):
    loaded = data.load("MNIST", "test", root)
    assert torch.equal(loaded.images, mnist["test"].images) and torch.equal(loaded.labels, mnist["test"].labels)
    assert sorted(path.name for path in (root / "MNIST" / "raw").iterdir()) == [f"{part}.gz" for part in PAIR]


@pytest.mark.parametrize("level", [0, 1])
def test_official_images_that_somebody_packed_again_are_the_official_images(root, mnist, level):
    for part in PAIR:
        archive = root / "MNIST" / "raw" / f"{part}.gz"
        archive.write_bytes(gzip.compress(unpacked(part), level))
        assert archive.read_bytes() != (OFFICIAL / archive.name).read_bytes()
    assert data.checksum(data.load("MNIST", "test", root)) == data.checksum(mnist["test"])


@pytest.mark.parametrize("spelt", ["{0}-{1}", "{0}.{1}", "{0}.{1}.gz"])
@pytest.mark.parametrize("packed", [True, False])
def test_files_count_with_a_dot_or_a_hyphen_packed_or_not_whatever_their_ending(root, mnist, spelt, packed):
    for part in PAIR:
        archive = root / "MNIST" / "raw" / f"{part}.gz"
        archive.unlink()
        content = unpacked(part)
        stem, _, kind = part.rpartition("-idx")
        name = spelt.format(stem, f"idx{kind}")
        archive.with_name(name).write_bytes(gzip.compress(content, 1) if packed else content)
    assert data.checksum(data.load("MNIST", "test", root)) == data.checksum(mnist["test"])


def test_four_files_of_a_persons_own_are_a_data_set_and_its_splits_have_their_proportions(own):
    root = own.parent.parent
    sizes = {split: len(data.load("mine", split, root).labels) for split in data.SPLITS}
    assert sizes == {"train": 550, "validation": 50, "test": 50, "first_half": 300, "second_half": 300}
    together = data.load("mine", "train", root).join(data.load("mine", "validation", root))
    assert idx(together.images[:, 0]) == (own / "train-images-idx3-ubyte").read_bytes()
    assert archives.names(root) == ["MNIST", "FashionMNIST", "KMNIST", "mine"]


@pytest.mark.parametrize("shape", [(56, 28), (32, 32)])
def test_images_of_another_size_are_refused_with_both_sizes(tmp_path, shape):
    write(tmp_path / "mine" / "raw", shape=shape)
    assert f"{shape[0]} x {shape[1]} pixels: 28 x 28 are needed" in message("mine", tmp_path)


@pytest.mark.parametrize(("split", "least"), [("train", "119 training images: 120"), ("test", "9 test images: 10")])
def test_too_few_images_are_refused_with_the_least_number(tmp_path, split, least):
    write(tmp_path / "mine" / "raw", train=119, test=9)
    assert f"has {least} are the least" in message("mine", tmp_path, split)


@pytest.mark.parametrize(("of_seven", "train"), [(0, 600), (29, 600), (30, 300)])
def test_a_report_needs_so_many_images_of_each_class_that_each_half_can_train_and_choose(own, of_seven, train):
    """Of the least that is accepted, every part of each half has all classes."""
    labels = torch.arange(train) % 10
    sevens = (labels == 7).nonzero()[of_seven:, 0]
    labels[sevens] = 0
    write(own, train=train)
    (own / archives.PARTS[1]).write_bytes(idx(labels.to(torch.uint8)))
    root = own.parent.parent
    if of_seven < 30:
        with pytest.raises(archives.DataError, match=f"has {of_seven} training images of class 7: a report needs 30"):
            archives.read_for_report("mine", root)
        return
    assert archives.read_for_report("mine", root) == train
    half = data.load("mine", "second_half", root)
    validation = half.drop(len(half.labels) - len(half.labels) // data.VALIDATION_PART)
    assert len(validation.labels.unique()) == 10


def test_a_report_needs_a_test_image_of_each_class(own):
    write(own, test=15)
    assert archives.read_for_report("mine", own.parent.parent) == 600
    (own / PAIR[1]).write_bytes(idx((torch.arange(15) % 9).to(torch.uint8)))
    with pytest.raises(archives.DataError, match="has 0 test images of class 9: a report needs 1 or more of each"):
        archives.read_for_report("mine", own.parent.parent)


def test_labels_of_more_classes_than_there_are_are_refused(own):
    (own / PAIR[1]).write_bytes(idx((torch.arange(50) % 26).to(torch.uint8)))
    assert "has labels up to 25: the classes are 0 to 9" in message("mine", own.parent.parent)


def test_images_and_labels_of_different_number_are_refused_with_both(own):
    (own / PAIR[1]).write_bytes(idx(torch.zeros(49, dtype=torch.uint8)))
    text = message("mine", own.parent.parent)
    assert "has 50 images" in text and "has 49 labels" in text and str(own / PAIR[0]) in text


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: b"", "is empty"),
        (lambda content: content[:7], "is no IDX file of bytes"),
        (lambda content: content[:-1], "is cut or damaged"),
        (lambda content: content + b"1", "is cut or damaged"),
        (lambda content: content[4:], "is no IDX file of bytes"),
        (lambda content: b"<html>not found</html>", "is no IDX file of bytes"),
        (lambda content: gzip.compress(content)[:-9], "is cut or damaged"),
        (lambda content: gzip.compress(b""), "is empty"),
        (lambda content: idx(torch.zeros(50, dtype=torch.uint8)), "has 1 dimensions instead of 3"),
    ],
)
def test_a_file_that_is_empty_cut_or_another_is_named_and_to_be_deleted_or_replaced(own, damage, said):
    file = own / PAIR[0]
    file.write_bytes(damage(file.read_bytes()))
    text = message("mine", own.parent.parent)
    assert str(file) in text and said in text and ("elete" in text or "another file" in text)


def test_an_archive_that_is_not_the_official_one_is_named_with_what_to_do(root):
    archive = root / "MNIST" / "raw" / f"{PAIR[1]}.gz"
    content = bytearray(unpacked(PAIR[1]))
    content[1000] ^= 1
    archive.write_bytes(gzip.compress(content))
    text = message("MNIST", root)
    assert str(archive) in text and "is damaged, or not of MNIST" in text and "Delete it" in text
    assert "git checkout" not in text  # which does not know this file


def test_a_file_that_git_keeps_may_be_restored_by_git(monkeypatch, root):
    monkeypatch.setattr(archives, "PROJECT_ROOT", root)
    kept = root / "data" / "MNIST" / "raw"
    shutil.copytree(root / "MNIST" / "raw", kept)
    (kept / f"{PAIR[1]}.gz").write_bytes(b"")
    assert f"git checkout -- data/MNIST/raw/{PAIR[1]}.gz" in message("MNIST", root / "data")


def test_what_is_missing_of_a_persons_own_is_named_beside_what_is_there(own):
    (own / PAIR[0]).rename(own / "test-pictures")
    text = message("mine", own.parent.parent)
    assert PAIR[0] in text and "test-pictures" in text and str(own) in text


def test_a_data_set_that_is_neither_there_nor_to_be_had_is_one_clear_line(tmp_path):
    text = message("FashionMNIST", tmp_path)
    assert "FashionMNIST could neither be read from" in text and str(tmp_path) in text and "no network" in text
    assert all(part in text for part in archives.PARTS) and "there is now: nothing" in text
    assert not list(tmp_path.rglob("*.gz"))


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serves MNIST's archives from this machine, and says what was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(OFFICIAL))

        def log_message(self, *_):
            asked.append(self.path)

    monkeypatch.undo()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{serving.server_port}/"
        monkeypatch.setitem(archives.OFFICIAL, "MNIST", archives.OFFICIAL["MNIST"]._replace(server=address))
        yield asked
        serving.shutdown()


def test_only_missing_files_are_downloaded_and_only_once(server, root, mnist):
    (root / "MNIST" / "raw" / f"{PAIR[0]}.gz").unlink()
    for _ in range(2):
        assert data.checksum(data.load("MNIST", "test", root)) == data.checksum(mnist["test"])
    assert server == [f"/{PAIR[0]}.gz"]


def test_a_downloaded_file_with_another_checksum_is_not_kept(server, monkeypatch, tmp_path):
    other = archives.OFFICIAL["MNIST"]._replace(packed=4 * ("0" * 32,))
    monkeypatch.setitem(archives.OFFICIAL, "MNIST", other)
    assert "its MD5 sum is not 0000" in message("MNIST", tmp_path)
    assert not list(tmp_path.rglob("*.gz*"))


def test_a_server_that_never_answers_is_given_up(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(archives, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setitem(archives.OFFICIAL, "KMNIST", archives.OFFICIAL["KMNIST"]._replace(server=address))
        began = time.monotonic()
        assert "does not answer" in message("KMNIST", tmp_path)
    assert time.monotonic() - began < 5


def test_the_patience_with_a_server_is_below_half_a_minute():
    assert 2 * archives.PATIENCE < 30
