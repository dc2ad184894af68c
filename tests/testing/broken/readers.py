"""Readers that read too much, too little, or what is not there."""

import numpy as np

from memtk.errors import UserError
from memtk.interfaces import Record, Volume
from memtk.testing import Case


def cases(sound, folder):
    def case(**changes):
        return Case(type("Broken", (sound.reader,), changes), example=sound.write_grid)

    def listing_all(self, path):
        self.voxels = sound.reader.read(self, Record(path)).voxels
        return [Record(path)]

    def noisy(self, record):
        return Volume(np.random.default_rng().random((1, 130, 128)), (1.0, 1.0))

    def rewriting(self, record):
        volume = sound.reader.read(self, record)
        record.path.write_text("1 1\n0\n")
        return volume

    class Lenient(sound.reader):
        def read(self, record):
            try:
                return super().read(record)
            except UserError:
                return Volume(np.zeros((1, 2, 3)), (1.0, 1.0))

    class Careless(sound.reader):
        def records(self, path):
            return super().records(path) if path.exists() else [Record(path)]

        def read(self, record):
            if record.path.exists():
                return super().read(record)
            return Volume(np.zeros((1, 2, 3)), (1.0, 1.0))

    return {
        "suffixes_fit_the_example": case(suffixes=("grid",)),
        "records_are_told_apart": case(records=lambda self, path: [Record(path)] * 2),
        "records_open_no_voxels": case(records=listing_all),
        "volumes_are_sound": case(
            read=lambda self, record: Volume(np.zeros((1, 2, 3)), (1.0, 0.0))
        ),
        "reading_twice_gives_the_same_voxels": case(read=noisy),
        "reading_leaves_the_file_as_it_was": case(read=rewriting),
        "damaged_files_are_refused_by_name": Case(Lenient, example=sound.write_grid),
        "missing_files_are_refused_by_name": Case(Careless, example=sound.write_grid),
    }
