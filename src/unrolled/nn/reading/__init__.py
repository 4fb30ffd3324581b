"""What reads the input of an encoder: codes, spellings, numbers; and attention, which reads what it remembers."""
