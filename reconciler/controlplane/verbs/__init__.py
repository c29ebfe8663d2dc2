"""One module per verb: from a request to an answer."""
