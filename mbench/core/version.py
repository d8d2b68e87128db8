"""The version of mbench: of the package, and of what its records say made them."""

VERSION = "0.2.0"
