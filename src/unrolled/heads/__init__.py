"""What is predicted at a place, from the vector there: loss, best, draws and log-probability; knows no alignment."""
