"""Pictures and a page for people who look at what a detector found.

query, twin -> difference, triptych
query, anomaly map -> overlay
Shown, one a query -> write_page -> report.html, self-contained
"""

from normalgen.pages.page import write_page
from normalgen.pages.pictures import difference, overlay, triptych
from normalgen.pages.shown import Shown

__all__ = ["Shown", "difference", "overlay", "triptych", "write_page"]
