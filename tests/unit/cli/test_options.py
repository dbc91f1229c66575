"""What the commands' shared flags fall back on."""

import re

from glider.cli.options import dated_folder


def test_runs_begun_in_one_second_get_folders_of_their_own(tmp_path):
    for _ in range(3):
        folder = dated_folder(f"{tmp_path}/runs/rows-")
        folder.mkdir(parents=True)  # refuses one that is there
        assert re.fullmatch(r"rows-\d{8}-\d{6}(-[23])?", folder.name)
