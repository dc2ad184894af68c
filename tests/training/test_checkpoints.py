import errno
import os
import pickle

import pytest
import torch

from memtk.errors import UserError
from memtk.training.checkpoints import (
    checkpoint_steps,
    load_checkpoint,
    load_weights,
    restore_optimisers,
    write_checkpoint,
)
from memtk.training.files import read_file, write_file


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


TREE = {
    "model": {
        "half": torch.arange(6.0).half().reshape(2, 3).T,
        "brain": torch.ones(3, dtype=torch.bfloat16),
        "complex": torch.tensor([1 + 2j]),
        "flag": torch.tensor(True),
        "empty": torch.empty(0, 4),
        "sparse": torch.eye(3).to_sparse(),
    },
    "optimisers": {"t": {"state": {0: {"step": 5.0}}, "param_groups": [{"betas": (0.9, 0.99)}]}},
    "progress": {"losses": {"p": [[1, {"a": float("nan"), "b": -0.0}]]}, "kinds": {"a", "b"}},
    "average": None,
}


def test_what_was_written_is_read_again_whatever_it_holds(tmp_path):
    write_file(tmp_path / "a.pt", TREE)
    content = read_file(tmp_path / "a.pt")
    assert content.keys() == {"format", *TREE}
    assert repr(content["progress"]["losses"]) == repr(TREE["progress"]["losses"])
    for name, tensor in TREE["model"].items():
        assert torch.equal(content["model"][name].to_dense(), tensor.to_dense())


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c["model"]["half"].add_(1),
        lambda c: c["model"].update(flag=torch.tensor(False)),
        lambda c: c["model"].update(empty=torch.empty(0, 5)),
        lambda c: c["model"].update(more=torch.ones(1)),
        lambda c: c["model"].pop("sparse"),
        lambda c: c["optimisers"]["t"]["state"][0].update(step=6.0),
        lambda c: c["progress"]["losses"]["p"].append([2, {}]),
        lambda c: c.update(average={}),
    ],
)
def test_a_file_that_somebody_changed_is_refused(tmp_path, edit):
    write_file(tmp_path / "a.pt", TREE)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    edit(content)
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(
        UserError, match="a.pt is not as memtk wrote it: delete it and run the same"
    ):
        read_file(tmp_path / "a.pt")


def test_files_of_older_versions_have_no_digest_and_are_read(tmp_path):
    torch.save({"format": 1, "step": 3, "model": {}}, tmp_path / "a.pt")
    assert read_file(tmp_path / "a.pt") == {"format": 1, "step": 3, "model": {}}


def test_weights_that_are_brought_along_may_have_been_changed(toy, tmp_path):
    one, other = toy.make(toy.Small), toy.make(toy.Small)
    write_checkpoint(one, tmp_path / "a.pt", 3)
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    content["model"] = {k: v + 1 for k, v in content["model"].items()}
    torch.save(content, tmp_path / "a.pt")
    load_weights(other, tmp_path / "a.pt")
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a + 1, b) for a, b in pairs)
    with pytest.raises(UserError, match="not as memtk wrote it"):
        load_checkpoint(other, tmp_path / "a.pt")


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
