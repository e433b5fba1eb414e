from .embedding import embed as embed
from .features import embed_images as embed_images
from .settings import Embedding as Embedding
