"""One script a figure: ``data()`` computes or reads what is shown, ``draw(data)`` draws it, in one style."""
