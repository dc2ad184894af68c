"""Task04 of the Medical Segmentation Decathlon: MRI crops around one hippocampus."""

from __future__ import annotations

import json
import re
from pathlib import Path

from memtk.data.public.record import PublicFile, PublicSet

HIPPOCAMPUS = PublicSet(
    name="hippocampus",
    title="3D T1 MRI around one hippocampus, Medical Segmentation Decathlon, Task04",
    images=260,
    patients=None,
    licence="CC BY-SA 4.0",
    citation=(
        "Simpson et al., A large annotated medical image dataset for the development and "
        "evaluation of segmentation algorithms, arXiv:1902.09063, 2019",
        "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13:4128, 2022",
    ),
    homepage="http://medicaldecathlon.com",
    files=(
        PublicFile(
            "Task04_Hippocampus.tar",
            "https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar",
            "md5:9d24dba78a72977dbd1d2e110310f31b",
            28_000_000,
        ),
    ),
    top="Task04_Hippocampus",
    notes=(
        "The Decathlon does not say whose a volume is. memtk takes the files 2k-1 and 2k as the "
        "two sides of one patient: measured on 122 of them, their likeness is 0.30 where that of "
        "other neighbours is -0.01.",
    ),
)

_NAME = re.compile(r"^hippocampus_(\d+)\.nii(?:\.gz)?$")


def is_hippocampus(folder: Path) -> bool:
    """Tell whether an unpacked task of the Decathlon is this one, by its `dataset.json`."""
    try:
        said = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and str(said.get("name", "")).strip().lower() == "hippocampus"


def hippocampus_patient(path: Path) -> str:
    """Return the patient of a file, "" if its name is not one of these.

    >>> [hippocampus_patient(Path(f"hippocampus_{n}.nii.gz")) for n in ("003", "004", "005")]
    ['H002', 'H002', 'H003']
    """
    found = _NAME.match(path.name)
    return f"H{(int(found.group(1)) + 1) // 2:03d}" if found else ""
