"""The functions behind the commands, also for use from Python: references -> model -> pool -> detector.

Each function reuses finished results, resumes stopped runs, and refuses folders made with other settings. Remarks go to
the logger "normalgen". `progress=False` hides the progress bar.
"""
