import errno
import os
import pickle

import pytest
import torch

from memtk.errors import UserError
from memtk.training.checkpoints import (
    checkpoint_steps,
    load_checkpoint,
    read_file,
    restore_optimisers,
    write_checkpoint,
    write_file,
)


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [
        (900, 1, (900,)),
        (900, 3, (300, 600, 900)),
        (10, 3, (3, 7, 10)),
        (2, 5, (1, 2)),
        (0, 4, (0,)),
    ],
)
def test_the_series_is_evenly_spaced_and_ends_with_the_last_step(steps, count, expected):
    assert checkpoint_steps(steps, count) == expected


def test_no_checkpoint_at_all_is_refused():
    with pytest.raises(UserError, match="checkpoints = 0"):
        checkpoint_steps(10, 0)


def test_weights_come_back(toy, tmp_path):
    one, other = toy.make(toy.Small), toy.make(toy.Small)
    with torch.no_grad():
        one.linear.weight.add_(1)
    write_checkpoint(one, tmp_path / "a.pt", 3)
    load_checkpoint(other, tmp_path / "a.pt")
    assert toy.same(one, other)


def test_a_buffer_may_have_changed_its_size(toy, tmp_path):
    one, other = toy.make(), toy.make()
    one.scale = torch.rand(4, 2)
    write_checkpoint(one, tmp_path / "a.pt", 3)
    load_checkpoint(other, tmp_path / "a.pt")
    assert torch.equal(one.scale, other.scale)


def test_weights_of_another_configuration_are_refused(toy, tmp_path):
    path = tmp_path / "a.pt"
    write_checkpoint(toy.make(width=4), path, 3)
    with pytest.raises(UserError, match="size mismatch for denoiser") as error:
        load_checkpoint(toy.make(), path)
    assert str(path) in str(error.value) and "another configuration" in str(error.value)
    with pytest.raises(UserError, match="does not fit Small"):
        load_checkpoint(toy.make(toy.Small), path)
    write_file(path, {"format": 1, "model": None})
    with pytest.raises(UserError, match="does not fit Small"):
        load_checkpoint(toy.make(toy.Small), path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no file .*gone\.pt"):
        read_file(tmp_path / "gone.pt")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"format": 1, "model": Bomb()}, protocol=2))
    torch.save({"format": 1, "model": Bomb()}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(UserError, match="damaged or no file"):
            read_file(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [{"format": 99}, [1, 2], {}])
def test_another_format_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not in the format"):
        read_file(tmp_path / "a.pt")


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    write_file(path, {"format": 1, "x": 1})

    def full(self, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(UserError, match="the disk is full"):
        write_file(path, {"format": 1, "x": 2})
    assert read_file(path)["x"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_optimisers_of_another_model_are_refused():
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    with pytest.raises(UserError, match="do not fit"):
        restore_optimisers({"turn": adam}, {})
