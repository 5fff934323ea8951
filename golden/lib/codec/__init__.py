"""Neural codecs: lively tiny checkpoints, the references' answers, and files that hold both."""
