"""Reports for people: one HTML file that needs nothing else, not even a network.

Pure functions over what the service answers; the standard library is enough.
"""
