"""References -> model -> pool -> detector: what the commands call, and Python users too.

Each function finds what an earlier call finished, resumes what was stopped, and refuses folders of other settings.
Remarks go to the logger "normalgen". With `progress=False` no bar is shown.
"""
