import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.registry import open_registry

NAMES = ("pearson", "cosine", "euclidean", "ncc")
ORACLES = {
    "pearson": lambda q, r: 1 - cdist(q, r, "correlation"),
    "ncc": lambda q, r: np.corrcoef(q, r)[: len(q), len(q) :],
    "cosine": lambda q, r: 1 - cdist(q, r, "cosine"),
    "euclidean": lambda q, r: -cdist(q, r),
}


@pytest.fixture(scope="module")
def measures():
    registry = open_registry()
    return {name: registry.load("similarity", name)() for name in NAMES}


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(23, 37)) + 0.5, rng.normal(size=(31, 37))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_agrees_with_numpy_and_scipy_in_the_dtype_it_is_given(measures, rows, name, dtype):
    measure = measures[name]
    q, r = (measure.prepare(torch.from_numpy(x).to(dtype)) for x in rows)
    found = measure.compare(q, r)
    assert q.dtype == r.dtype == found.dtype == dtype
    expected = ORACLES[name](*rows)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(found.numpy(), expected, atol=tolerance)
    single = measure.pairs(q, r[: len(q)])
    np.testing.assert_allclose(single.numpy(), expected.diagonal(), atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_no_float32_error_is_larger_than_it_says(measures, name):
    measure, rng = measures[name], np.random.default_rng(1)
    for width in (2, 33, 512):
        for offset in (0.0, 30.0):
            q = torch.from_numpy(rng.normal(size=(40, width)) + offset)
            r = torch.cat([q + 1e-4 * torch.from_numpy(rng.normal(size=q.shape)), q])
            q, r = measure.prepare(q), measure.prepare(r)
            coarse = measure.compare(q.float(), r.float())
            exact = torch.stack([measure.pairs(q, row.expand_as(q)) for row in r], 1)
            error = float((coarse - exact).abs().max())
            assert 0 < error <= measure.rounding(q.float(), r.float())


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_has_the_same_bits_whatever_the_other_pairs(measures, name):
    measure = measures[name]
    rows = torch.from_numpy(np.random.default_rng(2).normal(size=(50, 1001)))
    together = measure.prepare(rows)
    values = measure.pairs(together, together.flip(0))
    for i in (0, 7, 49):
        alone = measure.prepare(rows[i : i + 1].clone())
        other = measure.prepare(rows[49 - i : 50 - i].clone())
        assert torch.equal(measure.pairs(alone, other), values[i : i + 1])


def test_only_ncc_compares_the_images_themselves(measures):
    assert {name: m.space for name, m in measures.items() if m.space == "image"} == {"ncc": "image"}


@pytest.mark.parametrize("name", ["pearson", "ncc"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_row_is_refused_by_index(measures, name, value, dtype):
    rows = torch.randn(5, 33, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows[3] = value
    with pytest.raises(UserError, match="row 3 is constant"):
        measures[name].prepare(rows)
    rows[3] *= 1 + 1e-8 * torch.arange(33)  # what float32 makes of a constant
    with pytest.raises(UserError, match="row 3 is constant"):
        measures[name].prepare(rows)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_size_and_offset_do_not_change_a_correlation(measures, rows, scale):
    q, r = (torch.from_numpy(x).float() for x in rows)
    measure = measures["pearson"]
    expected = measure.compare(measure.prepare(q), measure.prepare(r))
    found = measure.compare(measure.prepare(q * scale), measure.prepare(r + 10))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_zero_row_has_no_cosine(measures, rows):
    q = torch.from_numpy(rows[0])
    q[4] = 0
    with pytest.raises(UserError, match="row 4 is zero"):
        measures["cosine"].prepare(q)


def test_a_row_is_at_distance_zero_of_itself_far_from_the_origin(measures, rows):
    measure = measures["euclidean"]
    q = torch.from_numpy(rows[0]) + 1e6
    assert torch.equal(measure.pairs(q, q), torch.zeros(len(q), dtype=q.dtype))
    np.testing.assert_allclose(measure.compare(q, q[:5]), -cdist(q, q[:5]), atol=1e-5)
