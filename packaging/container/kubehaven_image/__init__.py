"""Makes the image of engine and workers: Debian's Python, the locked wheels, our package.

No container tool is needed and nothing is run inside the image: packages are unpacked, so
another architecture needs no emulation. The same inputs make the same bytes.
"""
