from .estimator import DifficultExamples as DifficultExamples
