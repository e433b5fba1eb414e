from .gaussian import Prediction as Prediction
from .gaussian import predict as predict
from .metrics import METRICS as METRICS
from .metrics import Metric as Metric
