from .loading import ImageEncoder as ImageEncoder
from .loading import load_encoder as load_encoder
from .writing import export as export
