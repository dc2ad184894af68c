from __future__ import annotations

import pytest
import torch

from memtk.noise import Noise
from memtk_meddiff import vqgan as module
from memtk_meddiff.vqgan import Codebook


def latents(batch=4, width=3, side=4, seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, width, side, side, side), generator=generator) * spread


def rows_of(z):
    return z.permute(0, 2, 3, 4, 1).reshape(-1, z.shape[1])


def make(count=8, width=3, decay=0.9, restart_below=1.0):
    torch.manual_seed(0)
    return Codebook(count, width, decay, restart_below)


@pytest.mark.parametrize("block", [1, 40, 2**24])
def test_the_nearest_code_is_the_one_of_a_full_table_of_distances(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    book, z = make(), latents()
    rows = rows_of(z)
    expected = torch.cdist(rows.double(), book.codes.double()).argmin(1)
    assert torch.equal(book.nearest(rows), expected)
    assert torch.equal(rows_of(book(z)), book.codes[expected])


def test_codes_start_as_latents_of_the_first_batch():
    book, z = make(restart_below=0.0, decay=0.999999), latents()
    book(z, Noise(0, range(4)))
    distances = torch.cdist(book.codes, rows_of(z)).amin(1)
    assert float(distances.max()) < 1e-3
    assert len(book.codes.unique(dim=0)) == 8


def test_fewer_latents_than_codes_start_them_a_little_apart():
    book, z = make(count=1000), latents()
    drawn = book._drawn(rows_of(z), Noise(0, range(4)))
    assert drawn.shape == (1000, 3)
    assert len(drawn.unique(dim=0)) == 1000
    assert 0 < float(torch.cdist(drawn, rows_of(z)).amin(1).mean()) < 0.02
    nearest = torch.cdist(drawn, rows_of(z)).argmin(1).bincount(minlength=256)
    assert int(nearest.min()) >= 3  # 1000 / 256: every one is repeated three or four times


def test_the_average_moves_as_written_out_code_by_code():
    book, first, second = make(restart_below=0.0), latents(), latents(seed=1)
    book(first, Noise(0, range(4)))
    counts, sums, codes = book.counts.clone(), book.sums.clone(), book.codes.clone()
    rows = rows_of(second)
    chosen = torch.cdist(rows, codes).argmin(1)
    book(second, Noise(1, range(4)))
    for k in range(8):
        mine = rows[chosen == k]
        counts[k] = 0.9 * counts[k] + 0.1 * len(mine)
        sums[k] = 0.9 * sums[k] + 0.1 * mine.sum(0)
    torch.testing.assert_close(book.counts, counts)
    torch.testing.assert_close(book.sums, sums)
    torch.testing.assert_close(book.codes, sums / counts[:, None], rtol=1e-4, atol=1e-5)


def test_a_dead_code_is_used_again_after_its_restart():
    z = latents(spread=0.1) + 5
    used = {}
    for restart_below in (0.0, 1.0):
        book = make(restart_below=restart_below)
        book.codes.copy_(torch.randn(8, 3) - 50)  # far from all data
        book.codes[0] = 5.0  # but for one, which takes everything
        book.sums.copy_(book.codes)
        book.counts.fill_(1.0)
        for step in range(150):
            book(z, Noise(step, range(4)))
        used[restart_below] = len(book.nearest(rows_of(z)).unique())
    assert used[0.0] == 1
    assert used[1.0] == 8


def test_a_step_is_a_function_of_its_noise_and_the_buffers():
    def two_steps(seed):
        book = make(count=400)
        for step in range(2):
            book(latents(seed=step), Noise(seed + step, range(4)))
        return book.codes

    assert torch.equal(two_steps(0), two_steps(0))
    assert not torch.equal(two_steps(0), two_steps(7))


def test_looking_up_alone_changes_nothing_and_gives_no_gradient():
    book, z = make(), latents().requires_grad_()
    before = {k: v.clone() for k, v in book.state_dict().items()}
    found = book(z)
    assert not found.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in book.state_dict().items())


def test_a_book_that_was_loaded_does_not_start_again():
    trained, fresh = make(restart_below=0.0), make(restart_below=0.0)
    trained(latents(), Noise(0, range(4)))
    fresh.load_state_dict(trained.state_dict())
    for book in (trained, fresh):
        book(latents(seed=3), Noise(1, range(4)))
    assert torch.equal(fresh.codes, trained.codes)
    assert float((fresh.codes - make().codes).abs().max()) > 0
