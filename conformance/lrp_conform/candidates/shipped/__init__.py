"""The adapters that come with the suite: ten listings of rules, and the libraries."""
