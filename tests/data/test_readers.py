from pathlib import Path

import nibabel
import numpy as np
import pytest

from memtk.data.readers import Readers
from memtk.errors import PluginError, UserError
from memtk.plugins import load_plugins
from memtk.registry import Registry, open_registry

READER = """
@hookimpl
def memtk_readers():
    return [Component("{name}", __name__ + ":R", "reads", needs={needs})]

class R:
    suffixes = ("{suffix}",)
    def records(self, path): return []
    def read(self, record): return None
"""


@pytest.fixture
def readers(write_plugin):
    """Readers of throw-away plugins: each is (name, suffix, needs)."""

    def make(*plugins):
        points = [
            write_plugin(name, READER.format(name=name, suffix=suffix, needs=needs))
            for name, suffix, needs in plugins
        ]
        return Readers(Registry(load_plugins(points, {})))

    return make


def test_the_longest_suffix_wins(readers):
    some = readers(("gz", ".gz", ()), ("nifti", ".nii.gz", ()))
    assert some.find(Path("A.NII.GZ"))[0].name == "nifti"
    assert some.find(Path("a.tar.gz"))[0].name == "gz"
    assert not some.knows(Path("a.png"))


def test_two_readers_of_one_suffix_are_named(readers):
    some = readers(("one", ".x", ()), ("two", ".x", ()))
    with pytest.raises(PluginError, match="one/one and two/two both read a.x"):
        some.find(Path("a.x"))


def test_an_unknown_format_names_the_known_and_what_is_not_installed(readers):
    some = readers(("one", ".x", ()), ("far", ".far", ("memtk_no_such_module",)))
    with pytest.raises(UserError) as caught:
        some.find(Path("a.far"))
    text = str(caught.value)
    assert "there are readers for .x." in text
    assert "Not installed: far (needs memtk_no_such_module)" in text


def test_a_folder_without_a_series_is_refused(readers, tmp_path):
    with pytest.raises(UserError, match="holds no image series"):
        readers(("one", ".x", ())).find(tmp_path)


@pytest.mark.parametrize("byte", [3, -5, -1])  # flags of no meaning, check sum, length
def test_nifti_whose_gzip_contradicts_itself_is_refused(tmp_path, rng, byte):
    path = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(rng.normal(size=(9, 8, 7)), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x80
    path.write_bytes(content)
    readers = Readers(open_registry())
    with pytest.raises(UserError, match="x.nii.gz.* it is damaged"):
        readers.read(readers.records(path)[0])
