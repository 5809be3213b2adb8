"""What holds for every test: a property may take its time, because a busy machine is no failure; one seed a run."""

import os
import random

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
os.environ.setdefault("INVSYNC_SEED", str(random.SystemRandom().randrange(2**32)))
