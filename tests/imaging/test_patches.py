import pytest
import torch

from memtk.imaging.patches import fold, unfold


@pytest.mark.parametrize(("shape", "patch"), [((8, 12), 2), ((4, 8, 6), 2), ((16, 16), 4)])
def test_folding_keeps_every_voxel_and_unfolding_undoes_it(shape, patch):
    x = torch.rand(4, 3, *shape)
    folded, block = fold(x, patch), patch ** len(shape)
    assert folded.shape == (4, 3 * block, *[n // patch for n in shape])
    second = x[1, 1][tuple(slice(patch, 2 * patch) for _ in shape)].flatten()
    assert torch.equal(folded[(1, slice(block, 2 * block), *[1] * len(shape))], second)
    assert torch.equal(unfold(folded, patch), x)
    assert fold(x, 1) is x
    assert unfold(x, 1) is x


def test_pictures_are_folded_as_torch_unshuffles_pixels():
    x = torch.rand(2, 3, 8, 12)
    assert torch.equal(fold(x, 4), torch.nn.functional.pixel_unshuffle(x, 4))
