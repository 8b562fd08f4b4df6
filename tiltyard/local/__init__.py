"""The whole service on this machine: an embedded local AWS that the real package is deployed to."""
