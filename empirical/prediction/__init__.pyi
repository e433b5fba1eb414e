from .gaussian import Prediction as Prediction
from .gaussian import predict as predict
from .metrics import METRICS as METRICS
from .metrics import Metric as Metric
from .metrics import measure_metric as measure_metric
from .metrics import measure_metrics as measure_metrics
from .reading import describe as describe
from .reading import describe_metrics as describe_metrics
