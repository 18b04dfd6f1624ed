"""Between recipe and pipeline, one function per kind: decoded inputs in, product out. Only the engine calls them."""
