"""The networks of the reference's own code, written out plainly: oracles for those of memtk."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from memtk_meddiff.layers import bucket

STRIDES = [(2, 2, 2), (1, 2, 2)]


def conv_same(w, name, x, stride=(1, 1, 1)):
    weight, bias = w[f"{name}.conv.weight"], w[f"{name}.conv.bias"]
    pads = [n for s in reversed(stride) for n in ((weight.shape[2] - s + 1) // 2, (weight.shape[2] - s) // 2)]  # fmt: skip # noqa: E501
    return F.conv3d(F.pad(x, pads, mode="replicate"), weight, bias, stride)


def norm_silu(w, name, x):
    groups = 4 if x.shape[1] == 4 else x.shape[1] if x.shape[1] < 32 else 32
    return F.silu(F.group_norm(x, groups, w[f"{name}.weight"], w[f"{name}.bias"], 1e-6))


def plain_block(w, name, x):
    y = conv_same(w, f"{name}.conv1", norm_silu(w, f"{name}.norm1", x))
    return x + conv_same(w, f"{name}.conv2", norm_silu(w, f"{name}.norm2", y))


def plain_encoder(w, x):
    h = conv_same(w, "encoder.conv_first", x)
    for i, stride in enumerate(STRIDES):
        h = conv_same(w, f"encoder.conv_blocks.{i}.down", h, stride)
        h = plain_block(w, f"encoder.conv_blocks.{i}.res", h)
    return conv_same(w, "pre_vq_conv", norm_silu(w, "encoder.final_block.0", h))


def plain_decoder(w, z):
    distances = (
        (z[:, None] - w["codebook.embeddings"][None, :, :, None, None, None]).square().sum(2)
    )
    e = w["codebook.embeddings"][distances.argmin(1)].movedim(-1, 1)
    h = norm_silu(w, "decoder.final_block.0", conv_same(w, "post_vq_conv", e))
    for i, stride in enumerate(STRIDES):
        pads = [n for s in reversed(stride) for n in ((4 - s + 1) // 2, (4 - s) // 2)]
        up = f"decoder.conv_blocks.{i}.up.convt"
        h = F.pad(h, pads, mode="replicate")
        h = F.conv_transpose3d(h, w[f"{up}.weight"], w[f"{up}.bias"], stride)
        h = h[:, :, 3:-3, 3:-3, 3:-3]  # a padding of 3 takes so much away
        h = plain_block(w, f"decoder.conv_blocks.{i}.res1", h)
        h = plain_block(w, f"decoder.conv_blocks.{i}.res2", h)
    return conv_same(w, "decoder.conv_last", h)


def plain_unet(w, x, t, heads=2):
    def linear(name, y):
        return F.linear(y, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def block(name, y, time):
        film = linear(f"{name}.mlp.1", F.silu(time))[:, :, None, None, None] if time is not None else None  # fmt: skip # noqa: E501
        h = y
        for i in "12":
            one = f"{name}.block{i}"
            h = F.conv3d(h, w[f"{one}.proj.weight"], w[f"{one}.proj.bias"], padding=(0, 1, 1))
            h = F.group_norm(h, 8, w[f"{one}.norm.weight"], w[f"{one}.norm.bias"])
            if i == "1" and film is not None:
                half = film.shape[1] // 2
                h = h * (film[:, :half] + 1) + film[:, half:]
            h = F.silu(h)
        key = f"{name}.res_conv"
        return h + (
            F.conv3d(y, w[f"{key}.weight"], w[f"{key}.bias"]) if f"{key}.weight" in w else y
        )

    def normed(name, y):
        var, mean = torch.var_mean(y, dim=1, unbiased=False, keepdim=True)
        return (y - mean) / (var + 1e-5).sqrt() * w[f"{name}.fn.norm.gamma"]

    def turned(y):
        n, d = y.shape[-2:]
        angle = torch.arange(n)[:, None] / 10_000 ** (torch.arange(0, d, 2) / d)
        whole = torch.view_as_complex(y.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(whole * torch.exp(1j * angle)).flatten(-2)

    def attention(name, y, places, bias=None):
        tokens = normed(name, y).movedim(1, -1)  # (B, D, H, W, C)
        tokens = tokens.movedim(1, 3) if places == "depth" else tokens.flatten(2, 3)
        q, k, v = (
            part.unflatten(-1, (heads, -1)).transpose(-2, -3)
            for part in linear(f"{name}.fn.fn.fn.to_qkv", tokens).chunk(3, -1)
        )
        q = q * 32**-0.5
        if places == "depth":
            q, k = turned(q), turned(k)
        scores = q @ k.transpose(-1, -2)
        scores = scores if bias is None else scores + bias
        out = (scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2)
        out = linear(f"{name}.fn.fn.fn.to_out", out)
        out = out.movedim(3, 1) if places == "depth" else out.unflatten(2, y.shape[3:])
        return y + out.movedim(-1, 1)

    def linear_attention(name, y):
        b, c, f, hh, ww = y.shape
        flat = normed(name, y).transpose(1, 2).reshape(b * f, c, hh, ww)
        qkv = F.conv2d(flat, w[f"{name}.fn.fn.to_qkv.weight"]).flatten(2)
        q, k, v = (part.unflatten(1, (heads, -1)) for part in qkv.chunk(3, 1))
        context = torch.einsum("bhdn,bhen->bhde", k.softmax(-1), v)
        out = torch.einsum("bhde,bhdn->bhen", context, q.softmax(-2) * 32**-0.5)
        out = out.reshape(b * f, -1, hh, ww)
        key = f"{name}.fn.fn.to_out"
        out = F.conv2d(out, w[f"{key}.weight"], w[f"{key}.bias"])
        return y + out.reshape(b, f, c, hh, ww).transpose(1, 2)

    place = torch.arange(x.shape[2])
    table = w["time_rel_pos_bias.relative_attention_bias.weight"]
    bias = table[bucket(place[None] - place[:, None])].permute(2, 0, 1)
    rates = 10_000 ** (-torch.arange(4) / 3)
    waves = torch.cat([(t[:, None] * rates).sin(), (t[:, None] * rates).cos()], 1)
    time = linear("time_mlp.3", F.gelu(linear("time_mlp.1", waves)))
    x = start = F.conv3d(x, w["init_conv.weight"], w["init_conv.bias"], padding=(0, 3, 3))
    x, aside = attention("init_temporal_attn", x, "depth", bias), []

    def level(name, y):
        y = block(f"{name}.1", block(f"{name}.0", y, time), time)
        return attention(f"{name}.3", linear_attention(f"{name}.2", y), "depth", bias)

    for i in range(2):
        x = level(f"downs.{i}", x)
        aside.append(x)
        if i == 0:
            key = "downs.0.4"
            x = F.conv3d(x, w[f"{key}.weight"], w[f"{key}.bias"], (1, 2, 2), (0, 1, 1))
    x = attention("mid_spatial_attn", block("mid_block1", x, time), "slice")
    x = block("mid_block2", attention("mid_temporal_attn", x, "depth", bias), time)
    for i in range(2):
        x = level(f"ups.{i}", torch.cat([x, aside.pop()], 1))
        if i == 0:
            key = "ups.0.4"
            x = F.conv_transpose3d(x, w[f"{key}.weight"], w[f"{key}.bias"], (1, 2, 2), (0, 1, 1))
    x = block("final_conv.0", torch.cat([x, start], 1), None)
    return F.conv3d(x, w["final_conv.1.weight"], w["final_conv.1.bias"])
