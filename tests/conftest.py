"""Being here puts this folder on the import path: tables that several tests share stand beside.

Property tests draw the same examples at every run, however slow the machine is;
`pytest --hypothesis-profile search` draws new ones.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("same")
