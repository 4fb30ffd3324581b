"""What tasks write: targets, continuations of a prompt, words that may come next."""
