"""How the sandbox's generators were made to forget: each method a module, on diffusers' and transformers' own classes.

A method changes a copy and hands it back; the pipeline that it is given stays as it was.
"""
