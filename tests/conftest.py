import os

from hypothesis import settings

# Timings are benchmarked, not tested; CI draws the same examples every time.
settings.register_profile("project", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("project")
