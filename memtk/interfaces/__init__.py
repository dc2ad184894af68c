"""What a plugin implements. A model says what it is; the core trains and judges it."""

from memtk.interfaces.attack import Attack, Target
from memtk.interfaces.condition import (
    Condition,
    ConditionClasses,
    check_guidance,
    guided,
    takes_condition,
)
from memtk.interfaces.images import Images, ImageSpec, PatientImages, Reader, Record, Volume
from memtk.interfaces.mitigation import CheckpointScores, Choice, CopyDetector, Mitigation, Stage
from memtk.interfaces.models import (
    Diffusion,
    Embedder,
    Generator,
    Phase,
    Similarity,
    Trainable,
    Turn,
    in_float32,
)
from memtk.interfaces.protocol import Levels, Measure, Protocol, ProtocolTable, Similarities
from memtk.interfaces.quality import FeatureMetric, Features, QualityMeasure, QualityMetric
from memtk.interfaces.report import ReportFigure, ReportRun, ReportSection, SectionContent
from memtk.interfaces.settings import COUNTS_STEPS, ComponentConfig, PhaseSettings, Private

__all__ = [
    "COUNTS_STEPS",
    "Attack",
    "CheckpointScores",
    "Choice",
    "ComponentConfig",
    "Condition",
    "ConditionClasses",
    "CopyDetector",
    "Diffusion",
    "Embedder",
    "FeatureMetric",
    "Features",
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
    "ReportFigure",
    "ReportRun",
    "ReportSection",
    "SectionContent",
    "Similarities",
    "Similarity",
    "Stage",
    "Target",
    "Trainable",
    "Turn",
    "Volume",
    "check_guidance",
    "guided",
    "in_float32",
    "takes_condition",
]
