from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memtk.data.public.catalogue import PUBLIC, data_home, find_public, locate
from memtk.errors import UserError


def test_the_folder_is_the_named_one_or_the_systems_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path))
    assert data_home() == tmp_path
    monkeypatch.delenv("MEMTK_DATA_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_home() == tmp_path / "cache/memtk"


def test_without_pooch_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("MEMTK_DATA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(UserError, match="pip install pooch, or set MEMTK_DATA_HOME"):
        data_home()


def test_a_path_is_a_path_and_a_set_is_looked_up(monkeypatch, tmp_path):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path))
    assert locate("hippocampus") == "hippocampus"  # a folder of that name beside the user
    with pytest.raises(UserError, match="memtk data get hippocampus. Or give .* --data PATH"):
        locate("public:hippocampus")
    (tmp_path / "hippocampus").mkdir()
    (tmp_path / "hippocampus/.complete").touch()
    assert Path(locate("public:hippocampus")) == tmp_path / "hippocampus/Task04_Hippocampus"


def test_a_set_behind_a_sign_up_is_there_once_it_is_unpacked_there(tmp_path):
    assert not PUBLIC["mrnet"].is_there(tmp_path)
    (tmp_path / "mrnet/MRNet-v1.0").mkdir(parents=True)
    assert PUBLIC["mrnet"].is_there(tmp_path)


def test_an_unknown_set_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"chest-xray, mrnet and medmnist/NAME. Did you mean"):
        find_public("hipocampus")


def test_every_set_says_licence_citation_and_how_it_is_got():
    for name, each in PUBLIC.items():
        assert each.name == name and each.licence and each.citation and each.homepage
        assert bool(each.files) != bool(each.steps)
        for file in each.files:
            assert file.url.startswith("https://")
            assert len(file.checksum) == len("md5:") + 32 and file.size
