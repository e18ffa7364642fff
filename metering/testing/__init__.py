"""Fakes that pass the contract suites of the real parts; production imports none of them."""
