"""What a plugin implements. A model says what it is; the core trains and judges it."""

from memtk.interfaces.attack import Attack, Target
from memtk.interfaces.diffusion import Diffusion
from memtk.interfaces.embedder import Embedder
from memtk.interfaces.generator import Generator
from memtk.interfaces.images import Images, ImageSpec, PatientImages
from memtk.interfaces.mitigation import Choice, Eyes, Mitigation, Standing
from memtk.interfaces.private import Private
from memtk.interfaces.protocol import Levels, Measure, Protocol, ProtocolTable, Similarities
from memtk.interfaces.quality import FeatureMetric, Features, QualityMeasure, QualityMetric
from memtk.interfaces.reader import Reader, Record, Volume
from memtk.interfaces.report import ReportSection
from memtk.interfaces.settings import COUNTS_STEPS, ComponentConfig, PhaseSettings
from memtk.interfaces.similarity import Similarity
from memtk.interfaces.trainable import Phase, Trainable, Turn

__all__ = [
    "COUNTS_STEPS",
    "Attack",
    "Choice",
    "ComponentConfig",
    "Diffusion",
    "Embedder",
    "FeatureMetric",
    "Features",
    "Eyes",
    "Generator",
    "ImageSpec",
    "Images",
    "Protocol",
    "ProtocolTable",
    "QualityMeasure",
    "Levels",
    "Measure",
    "Mitigation",
    "PatientImages",
    "Phase",
    "PhaseSettings",
    "Private",
    "QualityMetric",
    "Reader",
    "Record",
    "ReportSection",
    "Similarities",
    "Similarity",
    "Standing",
    "Target",
    "Trainable",
    "Turn",
    "Volume",
]
