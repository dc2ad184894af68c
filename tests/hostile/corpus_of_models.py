"""Models and settings of attackers, made by code; see corpus.py."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import zipfile

from hostile.corpus import ARCHIVES, ARRAYS, IMAGES, TABLES, blob, deflated, zip_member

BUNDLES, JSON, TOML, WEIGHTS = ({} for _ in range(4))

NESTED = {
    "nested 100,000 deep": "[" * 100_000, "tables 100,000 deep": '{"a":' * 100_000,
    "nested 300 deep": '{"a":' * 300 + "1" + "}" * 300, "no table": "[1, 2]", "NaN": "NaN",
    "a number of 10,000 digits": '{"a": ' + "9" * 10_000 + "}", "no JSON": "{'a': 1}",
    "nothing": "", "NUL": "\0" * 99, "no UTF-8": b'{"a": "\xff"}', "a lone surrogate": '"\\ud800"',
    "more than 32 MB": b" " * 33_000_000,
}  # fmt: skip
JSON |= {what: blob("a.json", text) for what, text in NESTED.items()}
JSON["a pipe"] = lambda f: os.mkfifo(f / "a.json") or f / "a.json"
JSON["a device"] = lambda f: (f / "a.json").symlink_to("/dev/zero") or f / "a.json"
JSON["a folder"] = lambda f: (f / "a.json").mkdir() or f / "a.json"
for _what, _text in {
    "nested 100,000 deep": "x = " + "[" * 100_000,
    "a table 5,000 deep": "[" + ".".join("a" * 5000) + "]",
    "an unknown key": "[policy]\nx = 1\n", "NaN": "[policy]\nalpha = nan\n",
    "infinity": "[policy]\nmax_copy_rate = inf\n", "a text": "[policy]\nalpha = 'x'\n",
    "10^30": f"[policy]\nplants = {10**30}\n", "a key twice": "[policy]\nalpha=1\nalpha=2\n",
    "nothing": "", "no UTF-8": b"[policy]\nx = '\xff'\n", "JSON": '{"policy": {}}', "NUL": "\0",
    "more than 32 MB": b"#" * 33_000_000, "another table": "[x]\ny = 1\n",
}.items():  # fmt: skip
    TOML[_what] = blob("p.toml", _text)

NETWORK = {
    "_target_": "AutoencoderKL", "spatial_dims": 2, "in_channels": 1, "out_channels": 1,
    "latent_channels": 2, "channels": [4, 8], "num_res_blocks": 1, "norm_num_groups": 4,
    "attention_levels": [False, False],
}  # fmt: skip
UNET = {
    "_target_": "DiffusionModelUNet", "spatial_dims": 2, "in_channels": 2, "out_channels": 2,
    "channels": [4, 8], "attention_levels": [False, False], "num_head_channels": [0, 0],
    "num_res_blocks": 1, "norm_num_groups": 4,
}  # fmt: skip
SCHEDULER = {"_target_": "DDIMScheduler", "num_train_timesteps": 20}


def bundle(autoencoder=(), unet=(), scheduler=(), **more):
    """Write a bundle without weights, one or the other key of it changed."""

    def write(folder):
        made = {
            "autoencoder_def": NETWORK | dict(autoencoder),
            "network_def": UNET | dict(unet),
            "noise_scheduler": SCHEDULER | dict(scheduler),
        } | more
        (folder / "configs").mkdir()
        (folder / "models").mkdir()
        for name in ("autoencoder", "diffusion"):
            (folder / f"models/{name}.pt").write_bytes(b"")
        (folder / "configs/inference.json").write_text(json.dumps(made))
        return folder

    return write


_laughs = {f"a{n}": [f"@a{n + 1}"] * 10 for n in range(12)} | {"a12": [4, 8]}
_sums = {f"a{n}": f"$@a{n + 1} + @a{n + 1}" for n in range(60)} | {"a60": "$[4] + [8]"}
_powers = {f"a{n}": f"$@a{n + 1} * @a{n + 1}" for n in range(60)} | {"a60": "$9 * 9"}
for _what, _changes in {
    "10^9 blocks": {"unet": {"num_res_blocks": 10**9}},
    "10^9 blocks of the autoencoder": {"autoencoder": {"num_res_blocks": 10**9}},
    "10^9 channels": {"unet": {"channels": [4, 10**9]}},
    "10^9 channels of the autoencoder": {"autoencoder": {"channels": [10**9, 10**9]}},
    "10^9 latent channels": {"autoencoder": {"latent_channels": 10**9},
                             "unet": {"in_channels": 10**9, "out_channels": 10**9}},
    "10,000 levels": {"unet": {"channels": [4] * 10**4, "attention_levels": [False] * 10**4}},
    "10^12 steps": {"scheduler": {"num_train_timesteps": 10**12}},
    "no steps": {"scheduler": {"num_train_timesteps": 0}},
    "negative channels": {"unet": {"channels": [-4, 8]}},
    "no channels": {"unet": {"channels": []}},
    "channels that are texts": {"unet": {"channels": ["a", "b"]}},
    "ten axes": {"unet": {"spatial_dims": 10}},
    "a billion laughs": {"unet": {"channels": "@a0"}, **_laughs},
    "sums that double": {"unet": {"channels": "@a0"}, **_sums},
    "products that square": {"unet": {"num_res_blocks": "@a0"}, **_powers},
    "a reference to itself": {"unet": {"channels": "@a"}, "a": "@b", "b": "@a"},
    "a reference to nothing": {"unet": {"channels": "@nowhere"}},
    "code": {"unet": {"channels": "$__import__('os').system('touch pwned')"}},
    "code of 10,000 brackets": {"unet": {"channels": "$" + "(" * 10_000}},
    "code of 10,000 sums": {"unet": {"channels": "$" + "+".join("1" * 10_000)}},
    "another class": {"unet": {"_target_": "os.system"}},
    "two networks": {"second": UNET},
    "an unknown argument": {"unet": {"x": 1}},
    "an object for a number": {"unet": {"num_res_blocks": {"_target_": "os.system"}}},
}.items():  # fmt: skip
    BUNDLES[_what] = bundle(**_changes)


class Runs:
    """A pickle that runs a command, or calls what it names, when it is loaded."""

    def __init__(self, function, *words):
        self.called = function, words

    def __reduce__(self):
        return self.called


def checkpoint(content):
    """Return a file as torch.save writes it, of any pickle."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a/data.pkl", content)
        file.writestr("a/version", "3\n")
        file.writestr("a/byteorder", "little")
    return packed.getvalue()


for (_what, _made), _protocol, _whole in itertools.product(
    {
        "os.system": lambda: Runs(os.system, "touch pwned"),
        "eval": lambda: Runs(eval, "open('pwned', 'w')"),
        "exec": lambda: {"model": {"a": Runs(exec, "open('pwned', 'w')")}},
        "open": lambda: [Runs(open, "pwned", "w")],
        "getattr": lambda: Runs(getattr, "a", "upper"),
        "os.mkdir": lambda: {"state_dict": Runs(os.mkdir, "pwned")},
    }.items(),
    (0, 2, 4),
    (False, True),
):
    WEIGHTS[f"{_what}, pickle {_protocol}, {'zip' if _whole else 'bare'}"] = blob(
        "w.pt",
        lambda m=_made, p=_protocol, z=_whole: (checkpoint if z else bytes)(
            pickle.dumps(m(), protocol=p)
        ),
    )
for _what, _content in {
    "nothing": b"", "zeros": bytes(4096), "a text": b"no weights", "a number": checkpoint(b"K\1."),
    "a list": checkpoint(b"]."), "stacks 10^4 deep": checkpoint(b"(" * 10**4 + b"."),
    "lists 10^4 deep": checkpoint(b"\x80\2" + b"]" * 10**4 + b"a" * (10**4 - 1) + b"."),
    "a text of 2^31": checkpoint(b"X\xff\xff\xff\x7f" + b"."), "a memo of 2^31": checkpoint(
        b"\x80\2]r\xff\xff\xff\x7f."), "a long number": checkpoint(b"\x8b\xff\xff\xff\x7f."),
    "6 GB": lambda: zip_member(b"a/data.pkl", deflated(6 * 2**30), 6 * 2**30),
}.items():  # fmt: skip
    WEIGHTS[_what] = blob("w.pt", _content)

CLASSES = {
    "images": IMAGES, "manifests": TABLES, "embeddings": ARRAYS, "MONAI bundles": BUNDLES,
    "JSON of models": JSON, "policies in TOML": TOML, "weights": WEIGHTS, "archives": ARCHIVES,
}  # fmt: skip
