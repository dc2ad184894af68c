from __future__ import annotations

import math

import pytest
import torch

from memtk_meddiff.diffusion import CosineSchedule, FactorisedUNet, TimeWaves
from memtk_meddiff.layers import (
    Attention,
    DistanceBias,
    LinearAttention,
    bucket,
    rotate,
)


def features(channels=6, depth=5, height=3, width=4, batch=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((batch, channels, depth, height, width), generator=generator)


def normed(x, gain):
    """One voxel's channels."""
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * gain


def turned(vector, place):
    """Rotate by complex multiplication: channels 2i and 2i + 1 are a number's two parts."""
    pairs = torch.view_as_complex(vector.reshape(-1, 2).contiguous())
    rates = 10_000 ** (-2 * torch.arange(len(pairs)) / (2 * len(pairs)))
    return torch.view_as_real(pairs * torch.exp(1j * place * rates)).flatten()


def test_rotation_is_a_multiplication_by_complex_numbers():
    x = torch.randn(2, 7, 8)
    expected = torch.stack([torch.stack([turned(v, n) for n, v in enumerate(row)]) for row in x])
    torch.testing.assert_close(rotate(x), expected)


def test_scores_of_rotated_vectors_depend_on_their_distance_alone():
    q, k = torch.randn(8), torch.randn(8)
    q_at, k_at = rotate(q.expand(9, 8)), rotate(k.expand(9, 8))
    torch.testing.assert_close(q_at[1] @ k_at[3], q_at[6] @ k_at[8])
    assert abs(float(q_at[1] @ k_at[3] - q_at[1] @ k_at[4])) > 1e-3


def test_depth_attention_is_the_plain_one_with_rotary_places_and_distance_bias():
    torch.manual_seed(0)
    heads, head, x = 2, 4, features()
    layer, table = Attention(6, heads, head, "depth"), DistanceBias(heads)
    torch.nn.init.normal_(layer.norm.gain)
    expected = x.clone()
    for b in range(2):
        for i in range(3):
            for j in range(4):
                column = [normed(x[b, :, d, i, j], layer.norm.gain) for d in range(5)]
                parts = [(layer.qkv.weight @ voxel).reshape(3, heads, head) for voxel in column]
                for d in range(5):
                    found = []
                    for h in range(heads):
                        scores = torch.stack(
                            [
                                turned(parts[d][0, h], d) @ turned(parts[e][1, h], e) / 2.0
                                + table.table.weight[bucket(torch.tensor(e - d)), h]
                                for e in range(5)
                            ]
                        )
                        values = torch.stack([parts[e][2, h] for e in range(5)])
                        found.append(scores.softmax(0) @ values)
                    expected[b, :, d, i, j] += layer.out.weight @ torch.cat(found)
    torch.testing.assert_close(layer(x, table(5)), expected, atol=1e-5, rtol=1e-4)


def test_slice_attention_is_the_plain_one_within_each_slice():
    torch.manual_seed(0)
    x = features()
    layer = Attention(6, 2, 4, "slice")
    expected = x.clone()
    for b in range(2):
        for d in range(5):
            pixels = [normed(x[b, :, d, i, j], 1.0) for i in range(3) for j in range(4)]
            q, k, v = (torch.stack(pixels) @ layer.qkv.weight.T).reshape(12, 3, 2, 4).unbind(1)
            found = [((q[:, h] @ k[:, h].T) / 2.0).softmax(1) @ v[:, h] for h in range(2)]
            y = torch.cat(found, 1) @ layer.out.weight.T
            expected[b, :, d] += y.T.reshape(6, 3, 4)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


def test_linear_attention_is_its_definition():
    torch.manual_seed(0)
    x = features()
    layer = LinearAttention(6, 2, 4)
    expected = x.clone()
    for b in range(2):
        for d in range(5):
            pixels = [normed(x[b, :, d, i, j], 1.0) for i in range(3) for j in range(4)]
            q, k, v = (torch.stack(pixels) @ layer.qkv.weight.T).reshape(12, 3, 2, 4).unbind(1)
            found = torch.zeros(12, 2, 4)
            for h in range(2):
                weights = q[:, h].softmax(1) @ k[:, h].softmax(0).T  # the table that is never made
                found[:, h] = weights @ v[:, h] / math.sqrt(4)
            y = found.flatten(1) @ layer.out.weight.T + layer.out.bias
            expected[b, :, d] += y.T.reshape(6, 3, 4)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


def test_distances_have_32_buckets_by_direction_and_logarithm():
    for offset in range(-40, 41):
        n = abs(offset)
        wide = min(15, 8 + int(math.log(n / 8) / math.log(32 / 8) * 8 + 1e-6)) if n else 0
        expected = (n if n < 8 else wide) + 16 * (offset > 0)
        assert int(bucket(torch.tensor(offset))) == expected, offset
    found = {int(b) for b in bucket(torch.arange(-60, 61))}
    assert found == set(range(32)) - {16}


def test_time_is_told_by_sines_and_cosines_down_to_one_in_ten_thousand():
    found = TimeWaves(8)(torch.tensor([0, 7]))
    rates = [10_000 ** (-i / 3) for i in range(4)]
    expected = [math.sin(7 * r) for r in rates] + [math.cos(7 * r) for r in rates]
    torch.testing.assert_close(found[1], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert found[0].tolist() == [0] * 4 + [1] * 4


def test_the_network_works_between_slices_and_keeps_the_depth():
    torch.manual_seed(0)
    net = FactorisedUNet(3, 8, (1, 2), 8, 2, 4).eval()
    x = torch.randn(2, 3, 5, 4, 6)
    t = torch.tensor([1, 2])
    with torch.no_grad():
        y = net(x, t)
        other = x.clone()
        other[:, :, 4] += 1
        later = net(x, t + 5)
        alone = net(x[1:], t[1:])
        farther = net(other, t)
    assert y.shape == x.shape
    assert float((farther - y)[:, :, 0].abs().max()) > 1e-5  # slice 0 hears of slice 4
    assert float((later - y).abs().max()) > 1e-4
    torch.testing.assert_close(alone[0], y[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [300, 10])
def test_the_schedule_is_the_squared_cosine_from_end_to_end(steps):
    schedule = CosineSchedule(steps)

    def f(t):
        return math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in range(steps - 1):  # clipped at the last step alone
        assert float(schedule.kept[t]) == pytest.approx(f(t + 1) / f(0), rel=1e-4, abs=1e-9)
    last = f(steps - 1) / f(0) * 1e-4  # beta = 0.9999
    assert float(schedule.kept[-1]) == pytest.approx(last, rel=1e-3)
    assert float(schedule.spread[0]) == 0


def test_a_step_back_is_bayes_rule_for_two_gaussians():
    schedule, t = CosineSchedule(20), 7
    x, clean = torch.randn(3, 4), torch.rand(3, 4) * 2 - 1
    kept, before = (schedule.kept[i].double() for i in (t, t - 1))
    alpha = kept / before
    eps = (x - kept.sqrt() * clean) / (1 - kept).sqrt()
    # x_{t-1} | x_0 ~ N(sqrt(before) x_0, 1 - before); x_t | x_{t-1} ~ N(sqrt(alpha) ., 1 - alpha)
    precision = 1 / (1 - before) + alpha / (1 - alpha)
    mean = (before.sqrt() * clean / (1 - before) + alpha.sqrt() * x / (1 - alpha)) / precision
    found = schedule.back(x, eps.float(), t, torch.zeros_like(x))
    torch.testing.assert_close(found, mean.float(), atol=1e-4, rtol=1e-4)
    one = schedule.back(x, eps.float(), t, torch.ones_like(x)) - found
    torch.testing.assert_close(one, (1 / precision).sqrt().float().expand(3, 4), atol=1e-4, rtol=0)


def test_clean_rows_are_clipped_and_the_last_step_gives_them():
    schedule = CosineSchedule(20)
    x = torch.full((1, 3), 5.0)
    assert torch.equal(schedule.back(x, torch.zeros(1, 3), 0, None), torch.ones(1, 3))
    noisy = schedule.add_noise(torch.full((2, 3), 0.3), torch.ones(2, 3), torch.tensor([0, 19]))
    kept = schedule.kept[[0, 19]]
    torch.testing.assert_close(noisy[:, 0], 0.3 * kept.sqrt() + (1 - kept).sqrt())


def test_a_perfect_prediction_leads_back_to_the_clean_rows():
    schedule, clean = CosineSchedule(50), torch.rand(2, 3) * 2 - 1
    x, generator = torch.randn(2, 3), torch.Generator().manual_seed(0)
    for t in reversed(range(50)):
        kept = schedule.kept[t]
        eps = (x - kept.sqrt() * clean) / (1 - kept).sqrt()
        fresh = torch.randn(x.shape, generator=generator) if t else None
        x = schedule.back(x, eps, t, fresh)
    torch.testing.assert_close(x, clean, atol=1e-4, rtol=1e-4)
