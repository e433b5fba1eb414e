from .embedding import embed as embed
from .settings import Embedding as Embedding
