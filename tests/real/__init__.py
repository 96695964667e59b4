"""Real classifiers that other people's packages ship, on real data.

Nothing is fetched: where a package or the data is missing, a test is skipped and says so. The packages are those of
the extra `public-models`, and `make test-extras` runs these tests with them.
"""
