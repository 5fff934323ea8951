"""What the recipes share: signals, tiny models, reference searches, checkpoint writers."""
