"""How many points the exact level of several outputs averages over: read by its sampling and by its cost."""

SCRAMBLES, POINTS = 8, 2048  # of each
