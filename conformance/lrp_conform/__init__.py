"""The suite: golden vectors, and a judge of any implementation of Layer-wise Relevance Propagation."""

if __name__ != "lrp_conform":  # from the repository's root, a second copy of every module
    raise ImportError(f"{__name__}: the package is imported as lrp_conform")
