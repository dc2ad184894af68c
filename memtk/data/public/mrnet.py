"""Stanford's MRNet: knee MRI exams, behind a sign-up."""

from __future__ import annotations

from pathlib import Path

from memtk.data.public.record import PublicSet

MRNET = PublicSet(
    name="mrnet",
    title="3D sagittal knee MRI, MRNet-v1.0, Stanford",
    images=1250,
    patients=None,
    licence="Stanford University Dataset Research Use Agreement: research alone, not passed on",
    citation=(
        "Bien et al., Deep-learning-assisted diagnosis for knee magnetic resonance imaging: "
        "development and retrospective validation of MRNet, PLOS Medicine 15(11):e1002699, 2018",
    ),
    homepage="https://stanfordmlgroup.github.io/competitions/mrnet/",
    top="MRNet-v1.0",
    steps=(
        "open https://stanfordmlgroup.github.io/competitions/mrnet/ (or look for MRNet at "
        "https://aimi.stanford.edu/shared-datasets), sign up and accept the agreement",
        "follow the link that you get, and unpack MRNet-v1.0.zip (about 6 GB)",
        "say memtk bench --suite mrnet --data PATH/MRNet-v1.0, the folder that holds train/ and "
        "valid/",
    ),
    notes=(
        "MRNet does not say whose an exam is: its 1,130 training exams are of 1,088 patients, its "
        "120 validation exams of 111. Each exam counts as a patient, so a few of those who have "
        "two exams may stand on both sides of the suite's split of train/.",
    ),
)

PLANE = "sagittal"
"""The plane that the reference method uses, of three."""


def is_mrnet(folder: Path) -> bool:
    """Tell whether a folder is an unpacked MRNet-v1.0."""
    return all((folder / part / PLANE).is_dir() for part in ("train", "valid"))
