from .loop import batch_loss as batch_loss
from .loop import train as train
from .parts import make_fabric as make_fabric
from .parts import make_optimizer as make_optimizer
from .settings import Running as Running
from .settings import Settings as Settings
