"""Bytes to integers and back, bounds-checked. Knows no format; imports only ``errors``."""
