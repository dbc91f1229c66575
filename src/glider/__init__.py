"""Glider: small, explainable judges of text: a score, the reasoning, and the deciding spans."""

from __future__ import annotations

from glider._version import __version__ as __version__

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than everything else here
if TYPE_CHECKING:
    from typing import Any

    from glider.audit.file import audit_file as audit_file
    from glider.backends import open_backend as open_backend
    from glider.batch.file import JudgedFile as JudgedFile
    from glider.batch.file import judge_file as judge_file
    from glider.batch.outcomes import write_outcomes as write_outcomes
    from glider.bench.bench import bench_sets as bench_sets
    from glider.bench.settings import BenchSettings as BenchSettings
    from glider.calibration.calibrate import apply_calibration as apply_calibration
    from glider.calibration.calibrate import calibrate as calibrate
    from glider.calibration.calibrate import plan_labels as plan_labels
    from glider.calibration.model import CalibrationSettings as CalibrationSettings
    from glider.calibration.settings import LabelSettings as LabelSettings
    from glider.core.criteria import Criterion as Criterion
    from glider.core.criteria import Rubric as Rubric
    from glider.core.errors import BackendError as BackendError
    from glider.core.errors import DataError as DataError
    from glider.core.errors import GliderError as GliderError
    from glider.core.errors import ManifestMismatch as ManifestMismatch
    from glider.core.errors import ModelFileError as ModelFileError
    from glider.core.errors import ReadError as ReadError
    from glider.core.errors import RunError as RunError
    from glider.core.errors import SetupError as SetupError
    from glider.core.errors import TaskError as TaskError
    from glider.core.judgments import Comparison as Comparison
    from glider.core.judgments import Failure as Failure
    from glider.core.judgments import Highlight as Highlight
    from glider.core.judgments import Judgment as Judgment
    from glider.core.judgments import JudgmentFailed as JudgmentFailed
    from glider.core.judgments import Outcome as Outcome
    from glider.core.judgments import Span as Span
    from glider.core.samples import Field as Field
    from glider.core.samples import Sample as Sample
    from glider.core.tasks import JudgeTask as JudgeTask
    from glider.corpus.make import make_data as make_data
    from glider.corpus.settings import DataSettings as DataSettings
    from glider.data.library import load_criterion as load_criterion
    from glider.data.settings import RowSettings as RowSettings
    from glider.gate.gate import gate_run as gate_run
    from glider.judging.judge import Judge as Judge
    from glider.judging.pairs import PairTask as PairTask
    from glider.judging.settings import JudgeSettings as JudgeSettings
    from glider.release.exporting import export as export
    from glider.release.settings import ExportSettings as ExportSettings
    from glider.report.write import write_report as write_report
    from glider.review.answered import read_answered as read_answered
    from glider.review.export import export_answers as export_answers
    from glider.review.figures import review_report as review_report
    from glider.review.imports import import_answers as import_answers
    from glider.review.texts import texts_run as texts_run
    from glider.studies.rationalizing.run import rationalize as rationalize
    from glider.studies.rationalizing.settings import AnswererSettings as AnswererSettings
    from glider.studies.rationalizing.settings import (
        RationalizationSettings as RationalizationSettings,
    )
    from glider.studies.selecting.select import select as select
    from glider.studies.selecting.settings import SelectionSettings as SelectionSettings
    from glider.studies.tail_patching.run import tail_patch as tail_patch
    from glider.studies.tail_patching.settings import PatchSettings as PatchSettings
    from glider.studies.tuning.run import tune as tune
    from glider.studies.tuning.settings import TuningSettings as TuningSettings
    from glider.synth.export import export_synthesis as export_synthesis
    from glider.synth.settings import CurationSettings as CurationSettings
    from glider.synth.settings import SynthExportSettings as SynthExportSettings
    from glider.synth.settings import SynthSettings as SynthSettings
    from glider.synth.settings import TeacherSettings as TeacherSettings
    from glider.synth.settings import VerifierSettings as VerifierSettings
    from glider.synth.synthesize import preview_synthesis as preview_synthesis
    from glider.synth.synthesize import synthesize as synthesize
    from glider.synth.verify import verify_synthesis as verify_synthesis
    from glider.training.recipe import load_recipe as load_recipe
    from glider.training.run import train as train

# Where each name lives; imported on first use, so that `import glider` stays fast. No name equals
# one of our packages: `glider.audit` is always the package.
_HOMES = {
    "AnswererSettings": "glider.studies.rationalizing.settings",
    "BackendError": "glider.core.errors",
    "BenchSettings": "glider.bench.settings",
    "CalibrationSettings": "glider.calibration.model",
    "Comparison": "glider.core.judgments",
    "Criterion": "glider.core.criteria",
    "CurationSettings": "glider.synth.settings",
    "DataError": "glider.core.errors",
    "DataSettings": "glider.corpus.settings",
    "ExportSettings": "glider.release.settings",
    "Failure": "glider.core.judgments",
    "Field": "glider.core.samples",
    "GliderError": "glider.core.errors",
    "Highlight": "glider.core.judgments",
    "Judge": "glider.judging.judge",
    "JudgeSettings": "glider.judging.settings",
    "JudgeTask": "glider.core.tasks",
    "JudgedFile": "glider.batch.file",
    "Judgment": "glider.core.judgments",
    "JudgmentFailed": "glider.core.judgments",
    "LabelSettings": "glider.calibration.settings",
    "ManifestMismatch": "glider.core.errors",
    "ModelFileError": "glider.core.errors",
    "Outcome": "glider.core.judgments",
    "PairTask": "glider.judging.pairs",
    "PatchSettings": "glider.studies.tail_patching.settings",
    "RationalizationSettings": "glider.studies.rationalizing.settings",
    "ReadError": "glider.core.errors",
    "RowSettings": "glider.data.settings",
    "Rubric": "glider.core.criteria",
    "RunError": "glider.core.errors",
    "Sample": "glider.core.samples",
    "SelectionSettings": "glider.studies.selecting.settings",
    "SetupError": "glider.core.errors",
    "Span": "glider.core.judgments",
    "SynthExportSettings": "glider.synth.settings",
    "SynthSettings": "glider.synth.settings",
    "TaskError": "glider.core.errors",
    "TeacherSettings": "glider.synth.settings",
    "TuningSettings": "glider.studies.tuning.settings",
    "VerifierSettings": "glider.synth.settings",
    "apply_calibration": "glider.calibration.calibrate",
    "audit_file": "glider.audit.file",
    "bench_sets": "glider.bench.bench",
    "calibrate": "glider.calibration.calibrate",
    "export": "glider.release.exporting",
    "export_answers": "glider.review.export",
    "export_synthesis": "glider.synth.export",
    "gate_run": "glider.gate.gate",
    "import_answers": "glider.review.imports",
    "judge_file": "glider.batch.file",
    "load_criterion": "glider.data.library",
    "load_recipe": "glider.training.recipe",
    "make_data": "glider.corpus.make",
    "open_backend": "glider.backends",
    "plan_labels": "glider.calibration.calibrate",
    "read_answered": "glider.review.answered",
    "review_report": "glider.review.figures",
    "texts_run": "glider.review.texts",
    "rationalize": "glider.studies.rationalizing.run",
    "select": "glider.studies.selecting.select",
    "tail_patch": "glider.studies.tail_patching.run",
    "preview_synthesis": "glider.synth.synthesize",
    "synthesize": "glider.synth.synthesize",
    "train": "glider.training.run",
    "tune": "glider.studies.tuning.run",
    "verify_synthesis": "glider.synth.verify",
    "write_outcomes": "glider.batch.outcomes",
    "write_report": "glider.report.write",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    from glider.core.lazy import attribute

    return attribute(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return __all__
