"""Who may publish and play. Knows neither RTMP nor HTTP: one ``AccessRequest`` serves both.

A scheme is one file that satisfies ``base.Authorizer``; ``origin`` hands it to the ingest.
"""
