"""What a plugin implements. A model says what it is; the core trains and judges it."""

from memtk.interfaces.attack import Attack
from memtk.interfaces.embedder import Embedder
from memtk.interfaces.generator import Generator
from memtk.interfaces.images import Images, ImageSpec
from memtk.interfaces.mitigation import Mitigation
from memtk.interfaces.quality import QualityMetric
from memtk.interfaces.reader import Reader, Record, Volume
from memtk.interfaces.report import ReportSection
from memtk.interfaces.settings import ComponentConfig, PhaseSettings
from memtk.interfaces.similarity import Similarity
from memtk.interfaces.trainable import Phase, Trainable, Turn

__all__ = [
    "Attack",
    "ComponentConfig",
    "Embedder",
    "Generator",
    "ImageSpec",
    "Images",
    "Mitigation",
    "Phase",
    "PhaseSettings",
    "QualityMetric",
    "Reader",
    "Record",
    "ReportSection",
    "Similarity",
    "Trainable",
    "Turn",
    "Volume",
]
