"""What a run tells: events, lines and files, TensorBoard, and why it broke down."""
