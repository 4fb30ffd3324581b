"""What tasks read: texts, series, labelled examples, tagged sentences, pairs and running text."""
