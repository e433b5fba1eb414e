"""What pages share: their style, templates that escape, pictures within them."""

from empirical.pages.pictures import style as style
from empirical.pages.pictures import svg as svg
from empirical.pages.pictures import thumbnail as thumbnail
from empirical.pages.templates import environment as environment
