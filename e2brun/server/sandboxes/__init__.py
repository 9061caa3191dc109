"""Every sandbox of the service: made, found, given time, watched, paused and ended.

In come orders of the control plane; out go records and running sandboxes. Knows no path and no
header: the planes do.
"""
